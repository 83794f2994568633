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
	"sync/atomic"
	"time"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/pause"
)

const maxPause = 5 * time.Second

// stalledError is the error of an attempt in which the server sent too little.
type stalledError string

func (s stalledError) Error() string { return string(s) }

// permanentError is an error that a retry cannot fix.
type permanentError struct{ error }

func (p permanentError) Unwrap() error { return p.error }

// download retries until the file is complete, an error is permanent, Config.Tries
// attempts in a row made no progress, or ctx ends.
func (f *Fetcher) download(ctx context.Context, u *url.URL, s *sink) error {
	pauses := pause.NewDoubling(f.cfg.FirstPause, maxPause)
	furthest := s.done
	for tries := 1; ; tries++ {
		err := f.requestOnce(ctx, u, s)
		var stop permanentError
		var local *failure.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &local): // our own disk or limit
			return err
		}
		failed := failure.New(failure.Download, "download %s: %w", u.Redacted(), withoutURL(err))
		switch {
		case ctx.Err() != nil, errors.As(err, &stop):
			return failed
		case s.done-furthest >= f.minProgress(err):
			furthest = s.done
			tries = 0
			pauses.Reset()
		case tries >= f.cfg.Tries:
			return failed
		}
		next := pauses.Next()
		if f.cfg.Jitter != nil {
			next = f.cfg.Jitter(next)
		}
		if cancelled := pause.Sleep(ctx, next); cancelled != nil {
			return failure.New(failure.Download, "download %s: %w (before that: %w)", u.Redacted(), cancelled, withoutURL(err))
		}
	}
}

// minProgress returns the number of new bytes that make a failed attempt count as
// progress: for a server that is too slow, the minimum of one window.
func (f *Fetcher) minProgress(failed error) int64 {
	var stalled stalledError
	if errors.As(failed, &stalled) {
		return f.minPerWindow()
	}
	return 1
}

// minPerWindow returns the minimum number of bytes within Config.Stall.
func (f *Fetcher) minPerWindow() int64 {
	return max(1, int64(float64(f.cfg.MinRate)*f.cfg.Stall.Seconds()))
}

// withoutURL returns the error without the URL that net/http prepends, because
// the URL may contain a password.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// version identifies one version of the server's file.
type version struct {
	Validator string `json:"validator"` // for If-Range; "": the server sends none
	Size      int64  `json:"size"`      // bytes; -1: unknown
}

// requestOnce makes one request and writes its body to the sink.
func (f *Fetcher) requestOnce(ctx context.Context, u *url.URL, s *sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return permanentError{err}
	}
	req.Header.Set("Accept-Encoding", "identity")
	if f.cfg.Client != "" {
		req.Header.Set("User-Agent", f.cfg.Client)
	}
	if s.done > 0 && s.version.Validator != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", s.done))
		req.Header.Set("If-Range", s.version.Validator)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return preferCause(ctx, err)
	}
	defer resp.Body.Close()
	if err := acceptResponse(resp, s); err != nil {
		return err
	}
	if size := s.version.Size; size > s.max {
		s.refused = true
		return failure.New(failure.Download, "package has %d bytes, at most %d allowed", size, s.max)
	}
	s.total = s.version.Size
	w := &stallWriter{sink: s, minBytes: f.minPerWindow(), window: f.cfg.Stall}
	w.timer = time.AfterFunc(f.cfg.Stall, func() { cancel(f.newStalledError(w.received.Load())) })
	defer w.timer.Stop()
	_, err = io.Copy(w, resp.Body)
	switch {
	case err != nil:
		return preferCause(ctx, err)
	case s.total >= 0 && s.done != s.total:
		return fmt.Errorf("response stops after %d of %d bytes", s.done, s.total)
	}
	return nil
}

// newStalledError returns the error for an attempt that received so few bytes
// within Config.Stall.
func (f *Fetcher) newStalledError(bytes int64) error {
	if bytes == 0 {
		return stalledError(fmt.Sprintf("server sent nothing for %v (install.stall)", f.cfg.Stall))
	}
	return stalledError(fmt.Sprintf("server sent less than %d bytes a second for %v (install.min_rate, install.stall)", f.cfg.MinRate, f.cfg.Stall))
}

// preferCause returns the cause of the cancellation if ctx is cancelled, else err.
func preferCause(ctx context.Context, err error) error {
	var local *failure.Error
	if ctx.Err() != nil && !errors.As(err, &local) {
		return context.Cause(ctx)
	}
	return err
}

// acceptResponse checks the status and headers of a response. The body continues
// the sink, or the sink is emptied first; an error means that it is not usable.
func acceptResponse(resp *http.Response, s *sink) error {
	now := version{Validator: rangeValidator(resp.Header), Size: resp.ContentLength}
	switch resp.StatusCode {
	case http.StatusOK:
		return s.startOver(now)
	case http.StatusPartialContent:
		first, total, ok := parseContentRange(resp.Header.Get("Content-Range"))
		if ok && first == s.done && total == s.version.Size && (now.Validator == "" || now.Validator == s.version.Validator) {
			return nil
		}
		return errors.Join(errors.New("file changed on the server during the download"), s.startOver(version{}))
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(errors.New("file changed on the server during the download"), s.startOver(version{}))
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return fmt.Errorf("server answered %s", resp.Status)
	}
	err := fmt.Errorf("server answered %s", resp.Status)
	if resp.StatusCode < 500 {
		return permanentError{err}
	}
	return err
}

// rangeValidator returns the value for If-Range: a strong ETag, else the date.
func rangeValidator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// parseContentRange parses "bytes 5-9/10"; total is -1 for *.
func parseContentRange(s string) (first, total int64, ok bool) {
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

// stallWriter resets its timer whenever minBytes have arrived within the window.
type stallWriter struct {
	*sink
	timer    *time.Timer
	window   time.Duration
	minBytes int64
	received atomic.Int64 // bytes since the timer was last reset
}

func (w *stallWriter) Write(p []byte) (int, error) {
	n, err := w.sink.Write(p)
	if w.received.Add(int64(n)) >= w.minBytes {
		w.received.Store(0)
		w.timer.Reset(w.window)
	}
	return n, err
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return permanentError{fmt.Errorf("more than %d redirects", maxRedirects)}
	case !isWeb(req.URL):
		return permanentError{fmt.Errorf("redirected to %s, which is neither http nor https", req.URL.Scheme)}
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return permanentError{errors.New("redirected from https to http")}
	}
	return nil
}
