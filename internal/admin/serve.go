package admin

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"
)

// Serve serves h on l until ctx is done. Then it waits up to two seconds for the
// requests in progress, and ends those that follow the journal. It closes l. A done ctx
// is not an error.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log logrus.FieldLogger) error {
	srv := newServer(ctx, h, log)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	shutDown(ctx, srv)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

func newServer(ctx context.Context, h http.Handler, log logrus.FieldLogger) *http.Server {
	closing, closed := context.WithCancel(context.WithoutCancel(ctx))
	srv := &http.Server{
		Handler: h,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), closingKey{}, closing)
		},
		ConnContext:       withPeer,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          stdlog.New(logWriter{log}, "", 0),
	}
	srv.RegisterOnShutdown(closed)
	return srv
}

// shutDown waits up to two seconds for the requests in progress.
func shutDown(ctx context.Context, srv *http.Server) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(last); err != nil {
		_ = srv.Close() // a client does not read its answer
	}
}

// closingKey is the key of the context that ends when Serve begins to shut down.
type closingKey struct{}

// untilClosing returns a request's context that is also done when Serve begins to shut
// down. It is for answers that otherwise do not end.
func untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	closing, ok := ctx.Value(closingKey{}).(context.Context)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// logWriter writes the messages of net/http to the log.
type logWriter struct{ log logrus.FieldLogger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.WithField("cause", string(p)).Warn("Local API: request failed")
	return len(p), nil
}
