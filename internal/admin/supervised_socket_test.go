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

// runSocket runs Socket.Serve until the test ends.
func runSocket(t *testing.T, s *Socket) {
	t.Helper()
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, NewHandler(&fakeSupervisor{}, t.TempDir()), log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		for _, path := range s.paths {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s still exists after Serve: %v", path, err)
			}
		}
	})
}

// waitForAnswer waits until a supervisor answers on the socket.
func waitForAnswer(t *testing.T, c *Client) {
	t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err = c.Status(t.Context()); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// EV-29: a socket whose file was removed or replaced is recreated. A file of
// another program is not removed.
func TestSocketIsRecreated(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "s.sock")
	s, err := OpenSocket(dir, path, filepath.Join(dir, "second.sock"))
	if err != nil {
		t.Fatal(err)
	}
	runSocket(t, s)
	c := Dial(path)
	waitForAnswer(t, c)
	for what, damage := range map[string]func() error{
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
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := s.EnsureSocket(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		waitForAnswer(t, c)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("precious"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureSocket(); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file at its path: error %v, want one with \"not a socket\"", err)
	}
	waitForAnswer(t, Dial(filepath.Join(dir, "second.sock")))
	if b, err := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the other program's file holds %q, %v", b, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// EV-28: when the disk rejects the socket, it is opened at its second path. It
// moves to the first path when that becomes possible.
func TestSocketOnAReadOnlyDisk(t *testing.T) {
	dir := socketDir(t)
	path, second := filepath.Join(dir, "s.sock"), filepath.Join(dir, "second.sock")
	s, refuse := newSocket(dir, path, second), true
	s.listen = func(at, held string) (*net.UnixListener, error) {
		if at == path && refuse {
			return nil, fmt.Errorf("bind: %w", unix.EROFS)
		}
		return listenLocked(at, held)
	}
	if err := s.bindFirst(); err != nil {
		t.Fatal(err)
	}
	runSocket(t, s)
	c := newClient(path, second, dir)
	waitForAnswer(t, c)
	if err := s.EnsureSocket(); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), second) {
		t.Errorf("error %v, want %v with the second path", err, unix.EROFS)
	}
	refuse = false
	if err := s.EnsureSocket(); err != nil {
		t.Fatal(err)
	}
	waitForAnswer(t, Dial(path))
	if _, err := os.Lstat(second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second socket still exists: %v", err)
	}
}

// EV-28: a socket in use is an error at the start: an operator has to correct it.
func TestSocketThatIsTaken(t *testing.T) {
	dir := socketDir(t)
	path := filepath.Join(dir, "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := OpenSocket(dir, path, filepath.Join(dir, "second.sock")); !errors.Is(err, ErrSocketTaken) {
		t.Errorf("error %v, want %v", err, ErrSocketTaken)
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
		t.Errorf("with a supervisor: error %v, want %v with its pid", err, ErrSocketGone)
	}
}
