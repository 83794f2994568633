package process

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sink is where the output of one command goes.
type sink interface {
	// fd is what the child gets as its standard output and error.
	fd() uintptr
	// started is called when the child has its own copy of fd.
	started()
	// settle is called when the child has ended: it waits, no longer than
	// lingerFor, for what is still to come.
	settle()
	// text closes the sink, started or not, and returns the end of the output.
	text() string
}

// lingerFor is how long a pipe is still read after its command has ended,
// while something that inherited it has not: enough for a `tee` to finish.
const lingerFor = 100 * time.Millisecond

// pipe is the sink of a command that leaves nothing behind.
type pipe struct {
	read  *os.File
	write int // -1 when closed
	ring  ring
	done  chan struct{} // closed when reading has ended; nil before started
}

func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	// Our end alone: a plugin may not expect to be told EAGAIN.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(fmt.Errorf("set up pipe: %w", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return &pipe{read: os.NewFile(uintptr(fds[0]), "pipe"), write: fds[1]}, nil
}

func (p *pipe) fd() uintptr { return uintptr(p.write) }

func (p *pipe) started() {
	p.closeWrite()
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		_, err := p.ring.ReadFrom(p.read) // until the last writer's end, or settle's deadline
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.readRest()
		}
	}()
}

// readRest reads what is in the pipe, however late we are: all that its ended
// command left there. It does not follow a writer that goes on.
func (p *pipe) readRest() {
	conn, err := p.read.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_, _ = p.ring.ReadFrom(io.LimitReader(rawReader(fd), ringSize))
	})
}

// rawReader reads from a non-blocking descriptor and never waits.
type rawReader int

func (r rawReader) Read(b []byte) (int, error) {
	n, err := unix.Read(int(r), b)
	if n <= 0 {
		return 0, cmp.Or(err, io.EOF)
	}
	return n, nil
}

func (p *pipe) settle() {
	select {
	case <-p.done:
		return
	default:
	}
	if err := p.read.SetReadDeadline(time.Now().Add(lingerFor)); err != nil {
		p.read.Close() // ends the reading at once
	}
	<-p.done
}

func (p *pipe) text() string {
	p.closeWrite()
	p.read.Close()
	if p.done != nil {
		<-p.done
	}
	return p.ring.String()
}

func (p *pipe) closeWrite() {
	if p.write >= 0 {
		_ = unix.Close(p.write)
		p.write = -1
	}
}

// handedOver is the sink of a command that prints to a file of who runs it.
type handedOver struct{ file *os.File }

func (h handedOver) fd() uintptr { return h.file.Fd() }
func (handedOver) started()      {}
func (handedOver) settle()       {}
func (handedOver) text() string  { return "" }

// nowhere is the sink of a command whose log cannot be opened.
type nowhere struct{ null *os.File }

func (n nowhere) fd() uintptr  { return n.null.Fd() }
func (n nowhere) started()     { n.null.Close() }
func (n nowhere) settle()      {}
func (n nowhere) text() string { n.null.Close(); return "" }
