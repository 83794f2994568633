package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/durable"
)

// Socket is the admin socket of a supervisor. Where the disk refuses it, it is at
// a second path (EV-28); one whose file is removed or replaced is made anew
// (EV-29). The supervisor runs without it if it must.
type Socket struct {
	root   string // whose folder the caller has locked
	paths  [2]string
	listen func(path, held string) (*net.UnixListener, error)

	mu    sync.Mutex
	bound *boundSocket // nil while there is none
	srv   *http.Server // nil before Serve
	ended bool
}

// boundSocket is a listener, and the file that leads to it.
type boundSocket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

// bindLimit is how long the disk is waited for at the start.
const bindLimit = 2 * time.Second

// OpenSocket opens the admin socket at path, or at second where the disk refuses
// that or does not answer. The error says what an operator has to change; a disk
// is none: Keep tries again.
func OpenSocket(root, path, second string) (*Socket, error) {
	s := newSocket(root, path, second)
	return s, s.open()
}

func newSocket(root, path, second string) *Socket {
	return &Socket{root: root, paths: [2]string{path, second}, listen: listen}
}

func (s *Socket) open() error {
	type result struct {
		bound *boundSocket
		err   error
	}
	var hung bounded.Set
	for _, path := range s.paths {
		r, err := bounded.Run(&hung, path, bindLimit, func() (r result) {
			r.bound, r.err = s.bind(path)
			return r
		}, func(late result) {
			if late.err == nil {
				_ = late.bound.Close() // Keep makes another
			}
		})
		switch {
		case err != nil: // the disk does not answer
		case r.err == nil:
			s.bound = r.bound
			return nil
		case !durable.IsRefused(r.err) && path == s.paths[0]:
			return r.err
		}
	}
	return nil
}

func (s *Socket) bind(path string) (*boundSocket, error) {
	l, err := s.listen(path, s.root)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the file may be another's by then
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look at the new socket: %w", err), l.Close())
	}
	return &boundSocket{l, path, file}, nil
}

// inPlace reports whether the file is still where it was made.
func (b *boundSocket) inPlace() bool {
	file, err := os.Lstat(b.path)
	return err == nil && os.SameFile(file, b.file) && file.ModTime().Equal(b.file.ModTime())
}

// remove closes the socket, and removes its file if that is still its own.
func (b *boundSocket) remove() error {
	var err error
	if b.inPlace() {
		err = os.Remove(b.path)
	}
	return errors.Join(b.Close(), err)
}

// Keep makes the socket anew if its file is gone, and moves it to its first path
// as soon as that works. The error says why it is not there. Keep is called by
// one goroutine at a time.
func (s *Socket) Keep() error {
	s.mu.Lock()
	bound := s.bound
	s.mu.Unlock()
	there := bound != nil && bound.inPlace()
	if there && bound.path == s.paths[0] {
		return nil
	}
	fresh, err := s.bind(s.paths[0])
	if err != nil && !there {
		var second error
		if fresh, second = s.bind(s.paths[1]); second != nil {
			err = errors.Join(err, second)
		}
	}
	if fresh != nil {
		s.replace(bound, fresh)
	}
	if err != nil && fresh != nil {
		return fmt.Errorf("is at %s: %w", fresh.path, err)
	}
	if err != nil && there {
		return fmt.Errorf("is at %s: %w", bound.path, err)
	}
	return err
}

// replace serves a new socket in place of the old one, which may be nil.
func (s *Socket) replace(old, fresh *boundSocket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		_ = fresh.remove()
		return
	}
	s.bound = fresh
	if s.srv != nil {
		go s.serve(s.srv, fresh)
	}
	if old != nil {
		_ = old.remove()
	}
}

// serve answers on one socket until that is closed. One that fails by itself is
// made anew by Keep.
func (s *Socket) serve(srv *http.Server, on *boundSocket) {
	_ = srv.Serve(on)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound == on && !s.ended {
		s.bound = nil
		_ = on.remove()
	}
}

// Serve answers until ctx ends, by the rules of the function Serve, and closes
// the socket.
func (s *Socket) Serve(ctx context.Context, h http.Handler, log logrus.FieldLogger) error {
	srv := newServer(ctx, h, log)
	s.mu.Lock()
	s.srv = srv
	if s.bound != nil {
		go s.serve(srv, s.bound)
	}
	s.mu.Unlock()
	<-ctx.Done()
	err := s.Close()
	shutDown(ctx, srv)
	return err
}

// Close closes the socket. It may be called more than once.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	if s.bound == nil {
		return nil
	}
	return s.bound.remove()
}
