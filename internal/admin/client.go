package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// ErrNoSupervisor is returned when no process listens on the socket.
var ErrNoSupervisor = errors.New("cannot reach the supervisor")

// ErrSocketGone is returned when a supervisor holds the root, but its socket
// does not exist. Such an error is also ErrNoSupervisor.
var ErrSocketGone = errors.New("the supervisor's socket is gone")

// maxAnswer limits an answer, in bytes: some ten thousand plugins.
const maxAnswer = 16 << 20

// requestTimeout is the timeout of a request and its answer, except for Follow.
const requestTimeout = 10 * time.Second

// Client sends requests to a supervisor.
type Client struct {
	path string
	root string // of the supervisor; "" if unknown
	http http.Client
}

// Dial returns a client of the supervisor that listens on the socket. The client
// opens a connection for each request, so it also works after a restart of the
// supervisor.
func Dial(path string) *Client { return newClient(path, "", "") }

// DialRoot returns a client of the supervisor of a root. When the socket cannot
// be reached, the client tries its second path (EV-28). When there is none
// either, but a supervisor holds the root, the error says so (EV-29).
func DialRoot(root, path string) *Client {
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	return newClient(path, layout.SecondSocket(root), root)
}

func newClient(path, second, root string) *Client {
	c := &Client{path: path, root: root}
	c.http = http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, "unix", path)
				if err != nil && isAbsent(err) && second != "" {
					if conn, second := d.DialContext(ctx, "unix", second); second == nil {
						return conn, nil
					}
				}
				return conn, err
			},
		},
	}
	return c
}

// isAbsent reports whether an error means that no process listens.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR)
}

// socketGoneError is ErrSocketGone with the process that holds the root.
type socketGoneError struct {
	pid  int
	path string
}

func (e *socketGoneError) Error() string {
	return fmt.Sprintf("pid %d holds this root, but its socket is gone: %s; wait 10 s, it is recreated if possible", e.pid, e.path)
}

func (e *socketGoneError) Is(target error) bool {
	return target == ErrNoSupervisor || target == ErrSocketGone
}

// Status returns the snapshot. The error wraps ErrNoSupervisor when no process
// listens.
func (c *Client) Status(ctx context.Context) (plugin.Snapshot, error) {
	var s plugin.Snapshot
	err := c.getJSON(ctx, "/v1/status", &s)
	return s, err
}

// ListPlugins returns the installed plugins. The error wraps ErrNoSupervisor when
// no process listens.
func (c *Client) ListPlugins(ctx context.Context) (List, error) {
	var l List
	err := c.getJSON(ctx, "/v1/plugins", &l)
	return l, err
}

// SendCommand sends a command for a plugin and returns the accepted command, which is not
// complete yet. The error wraps plugin.ErrNoPlugin when there is no plugin of that name,
// and ErrNoSupervisor when no process listens.
func (c *Client) SendCommand(ctx context.Context, o Command, name string) (string, error) {
	return c.postCommand(ctx, name, string(o), nil)
}

// RequestChange requests that a plugin be installed, upgraded, rolled back or removed.
// It returns the same values as SendCommand.
func (c *Client) RequestChange(ctx context.Context, o plugin.Change) (string, error) {
	body, err := json.Marshal(changeRequest{Version: o.Version, Package: o.Package, Staged: o.Staged, Remove: o.Kind == plugin.ChangeRemove, Kind: &o.Kind})
	if err != nil {
		return "", err
	}
	return c.postCommand(ctx, o.Name, "change", body)
}

func (c *Client) postCommand(ctx context.Context, name, what string, body []byte) (string, error) {
	if plugin.CheckName(name) != nil { // it could not be part of a path either
		return "", fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.sendRequest(ctx, http.MethodPost, "/v1/plugins/"+url.PathEscape(name)+"/"+what, body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusAccepted:
		var a acceptedBody
		err := decodeAnswer(resp, &a)
		return a.Accepted, err
	case http.StatusNotFound:
		return "", fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name)
	default:
		return "", answerError(resp)
	}
}

func (c *Client) getJSON(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := c.sendRequest(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answerError(resp)
	}
	return decodeAnswer(resp, into)
}

func (c *Client) sendRequest(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("send request to the supervisor: %w", err)
	}
	resp, err := c.http.Do(req)
	switch {
	case isAbsent(err):
		if pid := c.findHolder(); pid != 0 {
			return nil, &socketGoneError{pid, c.path}
		}
		return nil, fmt.Errorf("%w at %s; is it running, or is --root different?", ErrNoSupervisor, c.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("no access to the supervisor's socket %s; run as root or as the supervisor's user: %w", c.path, fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("send request to the supervisor: %w", err)
	}
	return resp, nil
}

// findHolder returns the pid of the process that holds the root, or 0.
func (c *Client) findHolder() int {
	if c.root == "" {
		return 0
	}
	return lock.Holder(c.root, layout.SupervisorLock(c.root))
}

func decodeAnswer(resp *http.Response, into any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return nil
}

// answerError returns the error in an answer that is not 2xx.
func answerError(resp *http.Response) error {
	var f errorBody
	if decodeAnswer(resp, &f) != nil || f.Error == "" {
		f.Error = resp.Status
	}
	return fmt.Errorf("the supervisor answered: %s", f.Error)
}
