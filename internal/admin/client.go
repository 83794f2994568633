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

// ErrNoSupervisor says that nobody listens on the socket.
var ErrNoSupervisor = errors.New("no supervisor is running")

// ErrSocketGone says that a supervisor holds the root, but its socket is not
// there. Such an error is ErrNoSupervisor, too.
var ErrSocketGone = errors.New("the supervisor's socket is gone")

// maxAnswer bounds an answer, in bytes: some ten thousand plugins.
const maxAnswer = 16 << 20

// askWithin bounds a question and its answer, but for Follow.
const askWithin = 10 * time.Second

// Client asks a supervisor.
type Client struct {
	path string
	root string // of the supervisor; "" if that is not known
	http http.Client
}

// Dial makes a client of the supervisor that listens on the socket. It
// connects anew for each question, so one client outlives the supervisor.
func Dial(path string) *Client { return dial(path, "", "") }

// DialRoot is Dial of the supervisor of a root. A socket that cannot be reached
// is looked for at its second path (EV-28). Where there is none, but a supervisor
// holds the root, the error says so (EV-29).
func DialRoot(root, path string) *Client {
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	return dial(path, layout.SecondSocket(root), root)
}

func dial(path, second, root string) *Client {
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

// isAbsent reports whether an error says that nothing listens.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR)
}

// socketGoneError is ErrSocketGone with whose socket it is.
type socketGoneError struct {
	pid  int
	path string
}

func (e *socketGoneError) Error() string {
	return fmt.Sprintf("pid %d holds this root, but its socket is gone: %s; it makes it anew within 10 s, if it can", e.pid, e.path)
}

func (e *socketGoneError) Is(target error) bool {
	return target == ErrNoSupervisor || target == ErrSocketGone
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

// Order has something done to a plugin and returns what was accepted: it will
// be done, it is not done yet. The error wraps plugin.ErrNoPlugin when there is
// none of that name, and ErrNoSupervisor when nobody listens.
func (c *Client) Order(ctx context.Context, o Order, name string) (string, error) {
	return c.order(ctx, name, string(o), nil)
}

// Change has a plugin installed, upgraded, rolled back or removed, and returns
// what was accepted, by the rules of Order.
func (c *Client) Change(ctx context.Context, o plugin.Change) (string, error) {
	body, err := json.Marshal(wish{Version: o.Version, Package: o.Package, Staged: o.Staged, Remove: o.Kind == plugin.ChangeRemove, Kind: &o.Kind})
	if err != nil {
		return "", err
	}
	return c.order(ctx, o.Name, "change", body)
}

func (c *Client) order(ctx context.Context, name, what string, body []byte) (string, error) {
	if plugin.CheckName(name) != nil { // nor could it be a part of a path
		return "", fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name)
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	resp, err := c.do(ctx, http.MethodPost, "/v1/plugins/"+url.PathEscape(name)+"/"+what, body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusAccepted:
		var a accepted
		err := decode(resp, &a)
		return a.Accepted, err
	case http.StatusNotFound:
		return "", fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name)
	default:
		return "", refused(resp)
	}
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	return decode(resp, into)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	resp, err := c.http.Do(req)
	switch {
	case isAbsent(err):
		if pid := c.holder(); pid != 0 {
			return nil, &socketGoneError{pid, c.path}
		}
		return nil, fmt.Errorf("%w: nobody listens on %s", ErrNoSupervisor, c.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the supervisor's socket %s is not yours: %w", c.path, fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	return resp, nil
}

// holder returns the process that holds the root, 0 if none does.
func (c *Client) holder() int {
	if c.root == "" {
		return 0
	}
	return lock.Holder(c.root, layout.SupervisorLock(c.root))
}

func decode(resp *http.Response, into any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return nil
}

// refused is the error that an answer other than a good one tells.
func refused(resp *http.Response) error {
	var f failure
	if decode(resp, &f) != nil || f.Error == "" {
		f.Error = resp.Status
	}
	return fmt.Errorf("the supervisor answered: %s", f.Error)
}
