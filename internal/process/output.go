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

// sink receives the output of one command.
type sink interface {
	// fd returns the descriptor that becomes the command's standard output and error.
	fd() uintptr
	// childStarted is called when the command has its own copy of fd.
	childStarted()
	// drainOutput is called when the command has exited. It waits for the remaining output, at most
	// pipeLinger.
	drainOutput()
	// closeAndRead closes the sink, started or not, and returns the end of the output.
	closeAndRead() string
}

// pipeLinger is the time for which a pipe is read after its command has exited, while another
// process still holds it: enough for a `tee` to finish.
const pipeLinger = 100 * time.Millisecond

// pipe is the sink of a command that leaves no daemon.
type pipe struct {
	read  *os.File
	write int // -1 if closed
	ring  ring
	done  chan struct{} // closed when reading has stopped; nil before started
}

func newPipe() (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	// Only our end: a plugin may not expect EAGAIN.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(fmt.Errorf("set up pipe: %w", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return &pipe{read: os.NewFile(uintptr(fds[0]), "pipe"), write: fds[1]}, nil
}

func (p *pipe) fd() uintptr { return uintptr(p.write) }

func (p *pipe) childStarted() {
	p.closeWrite()
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		_, err := p.ring.ReadFrom(p.read) // until the last writer closes it, or the deadline of drainOutput
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.readRest()
		}
	}()
}

// readRest reads what is in the pipe, however late: all that the exited command wrote. It does not
// wait for a writer that continues.
func (p *pipe) readRest() {
	conn, err := p.read.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_, _ = p.ring.ReadFrom(io.LimitReader(rawReader(fd), ringSize))
	})
}

// rawReader reads from a non-blocking descriptor. It never waits.
type rawReader int

func (r rawReader) Read(b []byte) (int, error) {
	n, err := unix.Read(int(r), b)
	if n <= 0 {
		return 0, cmp.Or(err, io.EOF)
	}
	return n, nil
}

func (p *pipe) drainOutput() {
	select {
	case <-p.done:
		return
	default:
	}
	if err := p.read.SetReadDeadline(time.Now().Add(pipeLinger)); err != nil {
		p.read.Close() // stops the reading at once
	}
	<-p.done
}

func (p *pipe) closeAndRead() string {
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

// callerFile is the sink of a command that prints to a file of the caller.
type callerFile struct{ file *os.File }

func (h callerFile) fd() uintptr        { return h.file.Fd() }
func (callerFile) childStarted()        {}
func (callerFile) drainOutput()         {}
func (callerFile) closeAndRead() string { return "" }

// nullSink is the sink of a command whose log cannot be opened: /dev/null.
type nullSink struct{ null *os.File }

func (n nullSink) fd() uintptr          { return n.null.Fd() }
func (n nullSink) childStarted()        { n.null.Close() }
func (n nullSink) drainOutput()         {}
func (n nullSink) closeAndRead() string { n.null.Close(); return "" }
