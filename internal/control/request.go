package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// MaxAnswer is the longest body of an answer that is read, in bytes (SPEC 3).
const MaxAnswer = 4 << 20

// maxQuote is how much of a refusal's body a debug log line shows, in bytes.
const maxQuote = 256

// post makes one request and returns the body of a 2xx answer.
func (c *Client) post(ctx context.Context, path string, content any) ([]byte, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	late := fmt.Errorf("no complete answer in %s: %w", c.timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, late)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header = c.header.Clone()
	if c.tokenFile != "" {
		token, err := readToken(c.tokenFile)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, reason(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299: // known, whatever became of its body
		c.log.WithFields(logrus.Fields{
			"path": path, "status": resp.StatusCode, "answer": plugin.Cut(string(answer), maxQuote),
		}).Debug("Control plane refused a request")
		return nil, &plugin.Refusal{Code: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now())}
	case err != nil:
		return nil, fmt.Errorf("read answer: %w", reason(ctx, err))
	case len(answer) > MaxAnswer:
		return nil, fmt.Errorf("%w: longer than %d bytes", plugin.ErrNotUnderstood, MaxAnswer)
	}
	return answer, nil
}

// reason is why a request failed.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return bare(err)
}
