package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// MaxAnswer limits the body of an answer, in bytes (SPEC 3).
const MaxAnswer = 4 << 20

// maxQuote limits how much of a rejection's body a debug log line shows, in
// bytes.
const maxQuote = 256

// maxLocation limits how much of a redirect's target an error shows, in bytes.
const maxLocation = 512

// ErrForeignAnswer is returned for a 2xx answer that did not come from the
// control plane (SC-26).
var ErrForeignAnswer = errors.New("answered by something else: a web page (a login page of a proxy or guest network?)")

// response is the body of a 2xx answer.
type response struct {
	body []byte
	err  error // why the body is incomplete; nil when it is complete
}

// sendRequest sends one request. It succeeds on any 2xx status, also when the body is
// incomplete (SC-19), unless the body is a web page (SC-26).
func (c *Client) sendRequest(ctx context.Context, path string, content any) (response, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return response{}, fmt.Errorf("encode request: %w", err)
	}
	late := fmt.Errorf("no complete answer in %s: %w", c.timeout, context.DeadlineExceeded)
	caller := ctx
	ctx, cancel := context.WithTimeoutCause(caller, c.timeout, late)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return response{}, fmt.Errorf("make request: %w", err)
	}
	req.Header = c.header.Clone()
	if c.tokenFile != "" {
		token, err := readToken(c.tokenFile)
		if err != nil {
			return response{}, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return response{}, requestError(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		err = fmt.Errorf("read answer: %w", requestError(ctx, err))
	case len(answer) > MaxAnswer:
		err = fmt.Errorf("%w: longer than %d bytes", plugin.ErrUnreadableAnswer, MaxAnswer)
	}
	refused := resp.StatusCode < 200 || resp.StatusCode > 299
	if refused || isWebPage(resp.Header, answer, err) {
		c.log.WithFields(logrus.Fields{
			"path": path, "status": resp.StatusCode, "answer": plugin.TruncateText(string(answer), maxQuote),
		}).Debug("Control plane rejected a request")
		if !refused {
			return response{}, ErrForeignAnswer
		}
		return response{}, &plugin.HTTPError{
			Code: resp.StatusCode, RetryAfter: parseRetryAfter(resp.Header, time.Now()), Location: redirectTarget(resp),
		}
	}
	if caller.Err() != nil && err != nil { // canceled before the answer could be checked
		return response{}, err
	}
	return response{body: answer, err: err}, nil
}

// isWebPage reports whether a body is a web page: it begins with "<" after
// blanks, or it is sent as text/html and is neither empty nor JSON. incomplete is the
// error that stopped the reading, or nil.
func isWebPage(h http.Header, body []byte, incomplete error) bool {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte(utf8BOM)), " \t\r\n\v\f")
	if bytes.HasPrefix(body, []byte("<")) {
		return true
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "text/html") {
		return false
	}
	return incomplete != nil || len(body) > 0 && !json.Valid(body)
}

// utf8BOM is the byte order mark that Windows programs write before text.
const utf8BOM = "\ufeff"

// redirectTarget returns the target of a redirect up to its path, because the
// rest may be a secret. It returns "" when the answer is not a redirect.
func redirectTarget(resp *http.Response) string {
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		return ""
	}
	u, err := resp.Location()
	if err != nil {
		return ""
	}
	return plugin.TruncateText((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), maxLocation)
}

// requestError returns the cause of a failed request.
func requestError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return stripURL(err)
}
