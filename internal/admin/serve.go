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

// Serve answers on l until ctx ends, and then finishes the requests in hand,
// for at most two seconds; those that have no end of their own it ends. It
// closes l. The error says why it could not go on; the end of ctx is none.
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

// shutDown finishes the requests in hand, for at most two seconds.
func shutDown(ctx context.Context, srv *http.Server) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(last); err != nil {
		_ = srv.Close() // somebody does not take the answer
	}
}

// closingKey is where a request's context has the one that ends when Serve
// begins to end.
type closingKey struct{}

// untilClosing is a request's context for an answer that has no end of its
// own: it ends when Serve begins to end as well.
func untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	closing, ok := ctx.Value(closingKey{}).(context.Context)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// logWriter hands what net/http has to say to the log.
type logWriter struct{ log logrus.FieldLogger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.WithField("cause", string(p)).Warn("Local API had a problem with a request")
	return len(p), nil
}
