package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/lock"
)

// maxSocketPath is what fits into the kernel's address, in bytes (unix(7)).
const maxSocketPath = 107

// ErrSocketTaken says that somebody listens on the socket already.
var ErrSocketTaken = errors.New("another process listens on it")

// Listen opens the admin socket: its folder is created with 0750 if need be,
// the socket has mode 0600 from its first moment whatever the umask, and a
// socket file that nobody listens on any more is replaced. Closing the
// listener removes the file.
func Listen(path string) (net.Listener, error) {
	l, err := listen(path, "")
	if err != nil {
		return nil, err // not a nil listener in an interface
	}
	return l, nil
}

// folderWait is how long another process may hold the socket's folder.
const folderWait = 2 * time.Second

// listen is Listen where the caller may hold the lock of the folder held.
func listen(path, held string) (*net.UnixListener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin socket %s: path of %d bytes, at most %d allowed; set admin.socket to a shorter one",
			path, len(path), maxSocketPath)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create folder of admin socket: %w", err)
	}
	// Two that find the same dead socket must not both replace it: the second
	// would remove the first one's.
	if !isSame(dir, held) {
		folder, err := os.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("open folder of admin socket: %w", err)
		}
		defer func() { _ = lock.ReleaseFile(folder) }()
		ctx, cancel := context.WithTimeout(context.Background(), folderWait)
		defer cancel()
		if err := lock.WaitFile(ctx, folder, true); err != nil {
			return nil, fmt.Errorf("lock folder of admin socket: %w", err)
		}
	}
	if err := removeDead(path); err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// The file bind makes has the mode of the socket it is made from, so
		// there is no moment at which others could connect.
		var chmod error
		err := c.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmod)
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open admin socket: %w", err)
	}
	return l.(*net.UnixListener), nil // always, for that network
}

// isSame reports whether both paths lead to one folder.
func isSame(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// removeDead removes a socket file that nobody listens on.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at what is there: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("something that is not a socket is in its place")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return ErrSocketTaken
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSocketTaken // its queue is full: somebody is there
	default:
		return fmt.Errorf("ask who listens: %w", err)
	}
}

// peer is who is at the other end of a connection.
type peer struct {
	known bool // the kernel said so: a unix socket
	uid   int
}

type peerKey struct{}

// withPeer remembers the connection's peer for its requests.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, peerOf(c))
}

func peerOf(c net.Conn) peer {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return peer{}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return peer{}
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil || err != nil {
		return peer{}
	}
	return peer{known: true, uid: int(cred.Uid)}
}
