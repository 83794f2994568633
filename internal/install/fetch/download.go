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

// stalledError ends a try whose server sends next to nothing.
type stalledError string

func (s stalledError) Error() string { return string(s) }

// permanent is an error that trying again does not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// download tries until the file is whole, a try is hopeless, too many brought
// nothing, or ctx ends.
func (f *Fetcher) download(ctx context.Context, u *url.URL, s *sink) error {
	pauses := pause.NewDoubling(f.cfg.FirstPause, maxPause)
	furthest := s.done
	for tries := 1; ; tries++ {
		err := f.try(ctx, u, s)
		var stop permanent
		var local *failure.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &local): // our own disk or limit
			return err
		}
		failed := failure.New(failure.Download, "download %s: %w", u.Redacted(), bare(err))
		switch {
		case ctx.Err() != nil, errors.As(err, &stop):
			return failed
		case s.done-furthest >= f.progress(err):
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
		if ended := pause.Sleep(ctx, next); ended != nil {
			return failure.New(failure.Download, "download %s: %w (before that: %w)", u.Redacted(), ended, bare(err))
		}
	}
}

// progress returns how many new bytes make a try that failed a good one: of a
// server that is too slow as many as it has to send within one window.
func (f *Fetcher) progress(failed error) int64 {
	var stalled stalledError
	if errors.As(failed, &stalled) {
		return f.leastPerWindow()
	}
	return 1
}

// leastPerWindow returns how many bytes have to come within Stall.
func (f *Fetcher) leastPerWindow() int64 {
	return max(1, int64(float64(f.cfg.MinRate)*f.cfg.Stall.Seconds()))
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
	Validator string `json:"validator"` // for If-Range; "": it cannot tell
	Size      int64  `json:"size"`      // bytes; -1: not told
}

// try makes one request and takes what comes.
func (f *Fetcher) try(ctx context.Context, u *url.URL, s *sink) error {
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
	if s.done > 0 && s.version.Validator != "" {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", s.done))
		req.Header.Set("If-Range", s.version.Validator)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return why(ctx, err)
	}
	defer resp.Body.Close()
	if err := begin(resp, s); err != nil {
		return err
	}
	if size := s.version.Size; size > s.max {
		s.refused = true
		return failure.New(failure.Download, "package has %d bytes, at most %d allowed", size, s.max)
	}
	s.total = s.version.Size
	w := &watched{sink: s, least: f.leastPerWindow(), window: f.cfg.Stall}
	w.timer = time.AfterFunc(f.cfg.Stall, func() { cancel(f.stalled(w.since.Load())) })
	defer w.timer.Stop()
	_, err = io.Copy(w, resp.Body)
	switch {
	case err != nil:
		return why(ctx, err)
	case s.total >= 0 && s.done != s.total:
		return fmt.Errorf("ended after %d of %d bytes", s.done, s.total)
	}
	return nil
}

// stalled returns the error of a try in which so few bytes came within Stall.
func (f *Fetcher) stalled(bytes int64) error {
	if bytes == 0 {
		return stalledError(fmt.Sprintf("server sent nothing for %v (install.stall)", f.cfg.Stall))
	}
	return stalledError(fmt.Sprintf("server sent less than %d bytes a second for %v (install.min_rate, install.stall)", f.cfg.MinRate, f.cfg.Stall))
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
func begin(resp *http.Response, s *sink) error {
	now := version{Validator: validator(resp.Header), Size: resp.ContentLength}
	switch resp.StatusCode {
	case http.StatusOK:
		return s.restart(now)
	case http.StatusPartialContent:
		first, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if ok && first == s.done && total == s.version.Size && (now.Validator == "" || now.Validator == s.version.Validator) {
			return nil
		}
		return errors.Join(errors.New("file changed while it was fetched"), s.restart(version{}))
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(errors.New("file changed while it was fetched"), s.restart(version{}))
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
	timer  *time.Timer
	window time.Duration
	least  int64        // bytes within one window
	since  atomic.Int64 // bytes since the alarm was last put off
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.sink.Write(p)
	if w.since.Add(int64(n)) >= w.least {
		w.since.Store(0)
		w.timer.Reset(w.window)
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
