package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/pause"
)

const maxPause = 5 * time.Second

// errStalled ends a try whose server sends next to nothing.
var errStalled = errors.New("server stopped sending")

// permanent is an error that trying again does not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// download tries until the file is whole, a try is hopeless, too many brought
// nothing, or ctx ends.
func (f *Fetcher) download(ctx context.Context, u *url.URL, s *sink) error {
	pauses := pause.NewDoubling(f.cfg.FirstPause, maxPause)
	var v version
	var failed failure.Error
	for tries := 1; ; tries++ {
		before := s.done
		err := f.try(ctx, u, s, &v)
		var stop permanent
		var local *failure.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &local): // our own disk or limit
			return err
		}
		failed = failure.Error{Reason: failure.Download, Err: fmt.Errorf("download %s: %w", u.Redacted(), bare(err))}
		switch {
		case errors.As(err, &stop):
			return &failed
		case s.done > before:
			tries = 0
			pauses.Reset()
		case tries >= f.cfg.Tries:
			return &failed
		}
		next := pauses.Next()
		if f.cfg.Jitter != nil {
			next = f.cfg.Jitter(next)
		}
		if err := pause.Sleep(ctx, next); err != nil {
			return failure.New(failure.Download, "%w (last: %w)", err, &failed)
		}
	}
}

// bare is the error without the URL net/http puts before it: a password in it
// would be shown.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// version is by what a server tells that its file is the same as before.
type version struct {
	validator string // for If-Range; "": it cannot tell
	size      int64  // bytes; -1: not told
}

// try makes one request and takes what comes.
func (f *Fetcher) try(ctx context.Context, u *url.URL, s *sink, v *version) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return permanent{err}
	}
	req.Header.Set("Accept-Encoding", "identity")
	if f.cfg.Client != "" {
		req.Header.Set("User-Agent", f.cfg.Client)
	}
	if s.done > 0 && v.validator != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", s.done))
		req.Header.Set("If-Range", v.validator)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return why(ctx, err)
	}
	defer resp.Body.Close()
	if err := begin(resp, s, v); err != nil {
		return err
	}
	if v.size > s.max {
		return failure.New(failure.Download, "package has %d bytes, at most %d allowed", v.size, s.max)
	}
	s.total = v.size
	w := &watched{sink: s, limit: f.cfg.StallBytes, every: f.cfg.Stall}
	w.timer = time.AfterFunc(f.cfg.Stall, func() { cancel(errStalled) })
	defer w.timer.Stop()
	_, err = io.Copy(w, resp.Body)
	switch {
	case err != nil:
		return why(ctx, err)
	case v.size >= 0 && s.done != v.size:
		return fmt.Errorf("ended after %d of %d bytes", s.done, v.size)
	}
	return nil
}

// why prefers the reason the request was given up to the fact that it was.
func why(ctx context.Context, err error) error {
	var local *failure.Error
	if ctx.Err() != nil && !errors.As(err, &local) {
		return context.Cause(ctx)
	}
	return err
}

// begin judges the head of an answer: a body that continues what is there, one
// that begins anew, or none of use.
func begin(resp *http.Response, s *sink, v *version) error {
	now := version{validator: validator(resp.Header), size: resp.ContentLength}
	switch resp.StatusCode {
	case http.StatusOK:
		*v = now
		return s.restart()
	case http.StatusPartialContent:
		first, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if ok && first == s.done && total == v.size && (now.validator == "" || now.validator == v.validator) {
			return nil
		}
		*v = version{}
		return errors.Join(errors.New("file changed while it was fetched"), s.restart())
	case http.StatusRequestedRangeNotSatisfiable:
		*v = version{}
		return errors.Join(errors.New("file changed while it was fetched"), s.restart())
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return fmt.Errorf("server answered %s", resp.Status)
	}
	err := fmt.Errorf("server answered %s", resp.Status)
	if resp.StatusCode < 500 {
		return permanent{err}
	}
	return err
}

// validator is what If-Range takes: a strong ETag, else the date.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// contentRange reads "bytes 5-9/10"; total is -1 for *.
func contentRange(s string) (first, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	span, size, ok2 := strings.Cut(s, "/")
	from, _, ok3 := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if size == "*" {
		return first, -1, ok && ok2 && ok3 && err == nil && first >= 0
	}
	total, err2 := strconv.ParseInt(size, 10, 64)
	return first, total, ok && ok2 && ok3 && err == nil && err2 == nil && first >= 0 && total >= first
}

// watched puts the alarm for a stalled server off whenever enough has come.
type watched struct {
	*sink
	timer *time.Timer
	every time.Duration
	limit int64 // bytes
	since int64 // bytes since the alarm was last put off
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.sink.Write(p)
	if w.since += int64(n); w.since >= w.limit {
		w.since = 0
		w.timer.Reset(w.every)
	}
	return n, err
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return permanent{fmt.Errorf("more than %d redirects", maxRedirects)}
	case !isWeb(req.URL):
		return permanent{fmt.Errorf("redirected to %s, which is neither http nor https", req.URL.Scheme)}
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return permanent{errors.New("redirected from https to http")}
	}
	return nil
}
