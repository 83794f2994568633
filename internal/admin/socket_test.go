package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestMain also runs the test binary as a client of the socket.
func TestMain(m *testing.M) {
	if path := os.Getenv("ADMIN_TEST_ASK"); path != "" {
		_, err := Dial(path).Status(context.Background())
		fmt.Print(err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestListenIsPrivateForEveryUmask(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(socketDir(t), "new", "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o750} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file still exists: %v", err)
	}
}

func TestListenReplacesADeadSocketOnly(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close() // as after kill -9

	l, err := Listen(path)
	if err != nil {
		t.Fatalf("over a dead socket: %v", err)
	}
	defer l.Close()
	if _, err := Listen(path); !errors.Is(err, ErrSocketTaken) {
		t.Errorf("over a live socket: %v", err)
	}
	dialSocket(t, path) // the live socket still works

	file := filepath.Join(socketDir(t), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("over a file: error %v, want one with \"not a socket\"", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
}

func TestOnlyOneOfManyListens(t *testing.T) {
	path := filepath.Join(socketDir(t), "s.sock")
	var all sync.WaitGroup
	var won atomic.Int32
	for range 8 {
		all.Go(func() {
			l, err := Listen(path)
			switch {
			case err == nil:
				won.Add(1)
				t.Cleanup(func() { _ = l.Close() })
			case !errors.Is(err, ErrSocketTaken):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d listen on the same socket, want 1", won.Load())
	}
	dialSocket(t, path)
}

func TestListenRejectsALongPath(t *testing.T) {
	dir := socketDir(t) + "/"
	if _, err := Listen(dir + strings.Repeat("x", 108-len(dir))); err == nil || !strings.Contains(err.Error(), "108 bytes, at most 107") {
		t.Errorf("108 bytes: %v", err)
	}
	l, err := Listen(dir + strings.Repeat("x", 107-len(dir)))
	if err != nil {
		t.Fatalf("107 bytes: %v", err)
	}
	_ = l.Close()
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		name   string
		access access
		peer   peer
		want   bool
	}{
		{"the same user", ownerOnly, peer{true, 1000}, true},
		{"root", ownerOnly, peer{true, 0}, true},
		{"another user", ownerOnly, peer{true, 1001}, false},
		{"unknown user", ownerOnly, peer{}, false},
		{"anyone", anyClient, peer{}, true},
	} {
		if got := c.access.allowsPeer(c.peer, 1000); got != c.want {
			t.Errorf("%s: allowed %v, want %v", c.name, got, c.want)
		}
	}
}

// The peer's uid decides, even when the file's mode lets another user connect.
// Only root can run as another user.
func TestOtherUserIsRejected(t *testing.T) {
	path := serveAPI(t, fakeSupervisor{snapshot: sampleSnapshot()})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ADMIN_TEST_ASK="+path)
	want := "<nil>"
	if os.Getuid() == 0 {
		want = "permission denied: run as root or as the supervisor's user"
		cmd = exec.Command(publicCopy(t, os.Args[0]))
		cmd.Env = append(os.Environ(), "ADMIN_TEST_ASK="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for name, mode := range map[string]fs.FileMode{path: 0o666, filepath.Dir(path): 0o755} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("another user got %q, error %v; want %q", out, err, want)
	}
}

// publicCopy returns a copy of the program that any user may run.
func publicCopy(t *testing.T, program string) string {
	t.Helper()
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := socketDir(t)
	name := filepath.Join(dir, "client")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(name, b, 0o755), os.Chmod(name, 0o755)); err != nil {
		t.Fatal(err)
	}
	return name
}
