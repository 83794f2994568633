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

// maxSocketPath is the longest socket path, in bytes (unix(7)).
const maxSocketPath = 107

// ErrSocketTaken is returned when another process listens on the socket.
var ErrSocketTaken = errors.New("another process listens on it")

// Listen opens the admin socket. A missing folder is created with mode 0750. The
// socket is created with mode 0600 for every umask. A socket file that no
// process listens on is replaced. Closing the listener removes the file.
func Listen(path string) (net.Listener, error) {
	l, err := listenLocked(path, "")
	if err != nil {
		return nil, err // not a nil listener in an interface
	}
	return l, nil
}

// folderTimeout is the timeout for the lock of the socket's folder.
const folderTimeout = 2 * time.Second

// listenLocked opens the socket like Listen; the caller holds the lock of the folder held.
func listenLocked(path, held string) (*net.UnixListener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin socket %s: path has %d bytes, at most %d are allowed; set admin.socket to a shorter one",
			path, len(path), maxSocketPath)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create folder of admin socket: %w", err)
	}
	// Of two processes that find the same dead socket only one may replace it;
	// else the second would remove the socket of the first.
	if !isSameFolder(dir, held) {
		folder, err := os.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("open folder of admin socket: %w", err)
		}
		defer func() { _ = lock.ReleaseFile(folder) }()
		ctx, cancel := context.WithTimeout(context.Background(), folderTimeout)
		defer cancel()
		if err := lock.WaitFile(ctx, folder, true); err != nil {
			return nil, fmt.Errorf("lock folder of admin socket: %w", err)
		}
	}
	if err := removeDeadSocket(path); err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", path, err)
	}
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// bind gives the file the mode of the socket, so that no other user can
		// connect at any moment.
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

// isSameFolder reports whether both paths are the same folder.
func isSameFolder(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// removeDeadSocket removes a socket file that no process listens on.
func removeDeadSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("inspect the existing file: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("a file that is not a socket exists there; remove it")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return ErrSocketTaken
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSocketTaken // its queue is full: a process listens
	default:
		return fmt.Errorf("check whether a process listens: %w", err)
	}
}

// peer holds the user at the other end of a connection.
type peer struct {
	known bool // the kernel reported it: a unix socket
	uid   int
}

type peerKey struct{}

// withPeer stores the connection's peer in the context of its requests.
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
