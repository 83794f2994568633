package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"pluginsupervisor/plugin"
)

// ErrNoSupervisor says that nobody listens on the socket.
var ErrNoSupervisor = errors.New("no supervisor is running")

// maxAnswer bounds an answer, in bytes: some ten thousand plugins.
const maxAnswer = 16 << 20

// Client asks a supervisor.
type Client struct {
	path string
	http http.Client
}

// Dial makes a client of the supervisor that listens on the socket. It
// connects anew for each question, so one client outlives the supervisor.
func Dial(path string) *Client {
	c := &Client{path: path}
	c.http = http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", path)
			},
		},
	}
	return c
}

// Status asks for the snapshot. The error wraps ErrNoSupervisor when nobody
// listens.
func (c *Client) Status(ctx context.Context) (plugin.Snapshot, error) {
	var s plugin.Snapshot
	err := c.get(ctx, "/v1/status", &s)
	return s, err
}

// Plugins asks what is installed. The error wraps ErrNoSupervisor when nobody
// listens.
func (c *Client) Plugins(ctx context.Context) (List, error) {
	var l List
	err := c.get(ctx, "/v1/plugins", &l)
	return l, err
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://supervisor"+path, nil)
	if err != nil {
		return fmt.Errorf("ask the supervisor: %w", err)
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: nobody listens on %s", ErrNoSupervisor, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the supervisor's socket %s is not yours: %w", c.path, fs.ErrPermission)
	case err != nil:
		return fmt.Errorf("ask the supervisor: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(body, &f) != nil || f.Error == "" {
			f.Error = resp.Status
		}
		return fmt.Errorf("the supervisor answered: %s", f.Error)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return nil
}
