package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
)

// serving serves a socket until the test ends.
func serving(t *testing.T, s *Socket) {
	t.Helper()
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, Handler(&fake{}, t.TempDir()), log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		for _, path := range s.paths {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("left behind: %s, %v", path, err)
			}
		}
	})
}

// answers waits until something answers on the socket.
func answers(t *testing.T, c *Client) {
	t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err = c.Status(t.Context()); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// EV-29: a socket whose file was removed or replaced is made anew, and the file
// of another is not removed.
func TestSocketIsMadeAnew(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "s.sock")
	s, err := OpenSocket(dir, path, filepath.Join(dir, "second.sock"))
	if err != nil {
		t.Fatal(err)
	}
	serving(t, s)
	c := Dial(path)
	answers(t, c)
	for what, spoil := range map[string]func() error{
		"removed": func() error { return os.Remove(path) },
		"replaced by a dead socket": func() error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".dead", Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return errors.Join(l.Close(), os.Rename(path+".dead", path))
		},
		"untouched": func() error { return nil },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := s.Keep(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		answers(t, c)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("precious"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Keep(); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in its place: %v", err)
	}
	answers(t, Dial(filepath.Join(dir, "second.sock")))
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file of another holds %q, %v", b, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// EV-28: where the disk refuses the socket it is at its second path, and moves to
// the first once that works.
func TestSocketOnADiskThatRefuses(t *testing.T) {
	dir := socketDir(t)
	path, second := filepath.Join(dir, "s.sock"), filepath.Join(dir, "second.sock")
	s, refuse := newSocket(dir, path, second), true
	s.listen = func(at, held string) (*net.UnixListener, error) {
		if at == path && refuse {
			return nil, fmt.Errorf("bind: %w", unix.EROFS)
		}
		return listen(at, held)
	}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	serving(t, s)
	c := dial(path, second, dir)
	answers(t, c)
	if err := s.Keep(); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), second) {
		t.Errorf("problem %v", err)
	}
	refuse = false
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	answers(t, Dial(path))
	if _, err := os.Lstat(second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second one is left: %v", err)
	}
}

// EV-28: what an operator has to change is an error at the start.
func TestSocketThatIsTaken(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := OpenSocket(dir, path, filepath.Join(dir, "second.sock")); !errors.Is(err, ErrSocketTaken) {
		t.Errorf("error %v", err)
	}
}

// EV-29: a client names the process that holds the root whose socket is gone.
func TestClientNamesTheHolder(t *testing.T) {
	root := socketDir(t)
	c := DialRoot(root, layout.Socket(root))
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrNoSupervisor) || errors.Is(err, ErrSocketGone) {
		t.Errorf("without a supervisor: %v", err)
	}
	held, err := lock.TakeRoot(root, layout.SupervisorLock(root))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	_, err = c.Status(t.Context())
	if !errors.Is(err, ErrSocketGone) || !errors.Is(err, ErrNoSupervisor) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d holds this root, but its socket is gone", os.Getpid())) {
		t.Errorf("with one: %v", err)
	}
}
