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

// Socket is the admin socket of a supervisor. When the disk rejects it, it is
// opened at a second path (EV-28). When its file is removed or replaced, it is
// recreated (EV-29). The supervisor also runs without it.
type Socket struct {
	root   string // the caller holds the lock of this folder
	paths  [2]string
	listen func(path, held string) (*net.UnixListener, error)

	mu     sync.Mutex
	bound  *boundSocket // nil while no socket is open
	srv    *http.Server // nil before Serve
	closed bool
}

// boundSocket is a listener and its socket file.
type boundSocket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

// bindTimeout is the timeout for the disk at the start.
const bindTimeout = 2 * time.Second

// OpenSocket opens the admin socket at path, or at second when the disk rejects
// path or does not answer. An error is one that an operator has to correct. A
// failing disk is not: EnsureSocket retries.
func OpenSocket(root, path, second string) (*Socket, error) {
	s := newSocket(root, path, second)
	return s, s.bindFirst()
}

func newSocket(root, path, second string) *Socket {
	return &Socket{root: root, paths: [2]string{path, second}, listen: listenLocked}
}

func (s *Socket) bindFirst() error {
	type result struct {
		bound *boundSocket
		err   error
	}
	var hung bounded.Set
	for _, path := range s.paths {
		r, err := bounded.Run(&hung, path, bindTimeout, func() (r result) {
			r.bound, r.err = s.bindPath(path)
			return r
		}, func(late result) {
			if late.err == nil {
				_ = late.bound.Close() // EnsureSocket opens another
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

func (s *Socket) bindPath(path string) (*boundSocket, error) {
	l, err := s.listen(path, s.root)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the file may belong to another process by then
	file, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inspect the new socket: %w", err), l.Close())
	}
	return &boundSocket{l, path, file}, nil
}

// inPlace reports whether the socket's file still exists at its path.
func (b *boundSocket) inPlace() bool {
	file, err := os.Lstat(b.path)
	return err == nil && os.SameFile(file, b.file) && file.ModTime().Equal(b.file.ModTime())
}

// closeAndRemove closes the socket and removes its file, unless that was replaced.
func (b *boundSocket) closeAndRemove() error {
	var err error
	if b.inPlace() {
		err = os.Remove(b.path)
	}
	return errors.Join(b.Close(), err)
}

// EnsureSocket creates the socket again if its file is missing, and moves it to its first
// path when that becomes possible. It returns an error while the socket is missing or at
// the second path. Only one goroutine at a time may call it.
func (s *Socket) EnsureSocket() error {
	s.mu.Lock()
	bound := s.bound
	s.mu.Unlock()
	there := bound != nil && bound.inPlace()
	if there && bound.path == s.paths[0] {
		return nil
	}
	fresh, err := s.bindPath(s.paths[0])
	if err != nil && !there {
		var second error
		if fresh, second = s.bindPath(s.paths[1]); second != nil {
			err = errors.Join(err, second)
		}
	}
	if fresh != nil {
		s.replaceSocket(bound, fresh)
	}
	if err != nil && fresh != nil {
		return fmt.Errorf("socket is at %s: %w", fresh.path, err)
	}
	if err != nil && there {
		return fmt.Errorf("socket is at %s: %w", bound.path, err)
	}
	return err
}

// replaceSocket serves a new socket instead of the old one, which may be nil.
func (s *Socket) replaceSocket(old, fresh *boundSocket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = fresh.closeAndRemove()
		return
	}
	s.bound = fresh
	if s.srv != nil {
		go s.serveBound(s.srv, fresh)
	}
	if old != nil {
		_ = old.closeAndRemove()
	}
}

// serveBound serves one socket until it is closed. EnsureSocket recreates one that
// failed.
func (s *Socket) serveBound(srv *http.Server, on *boundSocket) {
	_ = srv.Serve(on)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bound == on && !s.closed {
		s.bound = nil
		_ = on.closeAndRemove()
	}
}

// Serve serves h until ctx ends, as the function Serve does, and closes the
// socket.
func (s *Socket) Serve(ctx context.Context, h http.Handler, log logrus.FieldLogger) error {
	srv := newServer(ctx, h, log)
	s.mu.Lock()
	s.srv = srv
	if s.bound != nil {
		go s.serveBound(srv, s.bound)
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
	if s.closed {
		return nil
	}
	s.closed = true
	if s.bound == nil {
		return nil
	}
	return s.bound.closeAndRemove()
}
