// Package callfault makes system calls fail in a program that a test runs. The kernel
// asks the test before each call (seccomp_unotify(2)), so the program is not stopped,
// and a fault can begin and end at any moment. A debugger such as strace cannot do
// that: it hangs when it detaches from a program that forks by vfork.
//
// The program is started through the test's own binary, which sets up a filter
// and executes the program: TestMain begins with Launch.
package callfault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fault is a failing system call.
type Fault struct {
	Call  uintptr // number of the system call
	Errno syscall.Errno
	// Matches reports whether a call fails, by its arguments; nil: each does.
	Matches func(pid int, args [6]uint64) bool
}

// Program is a program whose system calls can be made to fail. The calls of programs
// that it executes do not fail.
type Program struct {
	Cmd *exec.Cmd

	mu    sync.Mutex
	fault *Fault
	hits  int
}

const (
	launched = "SUPERVISOR_TEST_LAUNCH" // numbers of the system calls, in the environment of a launcher
	socketFD = 3                        // socket to which the launcher sends the listener
)

// Start starts a command whose given system calls can be made to fail. The error
// wraps errors.ErrUnsupported if the machine does not support it.
func Start(cmd *exec.Cmd, calls []uintptr) (*Program, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "launcher")
	defer theirs.Close()
	defer unix.Close(pair[0])
	program := cmd.Path
	cmd.Path, cmd.Args = "/proc/self/exe", append([]string{program}, cmd.Args...)
	cmd.Env = append(cmd.Environ(), launched+"="+strings.Trim(fmt.Sprint(calls), "[]"))
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_ = theirs.Close()
	listener, err := receiveListener(pair[0])
	if err != nil {
		_ = cmd.Wait()
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	p := &Program{Cmd: cmd}
	go p.answerCalls(listener, program)
	return p, nil
}

// Begin makes calls fail until End.
func (p *Program) Begin(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.hits = &f, 0
}

// End ends the fault, and returns the number of failed calls.
func (p *Program) End() (hits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = nil
	return p.hits
}

// matchFault returns the errno with which a call fails, 0 if it does not fail.
func (p *Program) matchFault(n *notification, program string) syscall.Errno {
	p.mu.Lock()
	f := p.fault
	p.mu.Unlock()
	if f == nil || f.Call != uintptr(n.call) {
		return 0
	}
	if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", n.pid)); exe != program {
		return 0
	}
	if f.Matches != nil && !f.Matches(int(n.pid), n.args) {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != f { // End was called meanwhile
		return 0
	}
	p.hits++
	return f.Errno
}

// The kernel's structs seccomp_notif and seccomp_notif_resp.
type (
	notification struct {
		id    uint64
		pid   uint32
		flags uint32
		call  int32
		arch  uint32
		ip    uint64
		args  [6]uint64
	}
	response struct {
		id    uint64
		value int64
		errno int32
		flags uint32
	}
)

// answerCalls answers each call until no process with the filter is left.
func (p *Program) answerCalls(listener int, program string) {
	defer unix.Close(listener)
	for {
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if ready[0].Revents&unix.POLLHUP != 0 {
			return
		}
		n := &notification{}
		if ready[0].Revents&unix.POLLIN == 0 || callIoctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n)) != nil {
			continue // the process was killed meanwhile
		}
		r := &response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if errno := p.matchFault(n, program); errno != 0 {
			r.errno, r.flags = -int32(errno), 0
		}
		_ = callIoctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(r)) // the process may have been killed meanwhile
	}
}

func callIoctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// Launch executes a program with a filter, if this process is a launcher. Otherwise
// it returns.
func Launch() {
	calls := os.Getenv(launched)
	if calls == "" {
		return
	}
	fmt.Fprintln(os.Stderr, execFiltered(strings.Fields(calls)))
	os.Exit(1)
}

func execFiltered(calls []string) error {
	runtime.LockOSThread() // the filter is of this thread, which executes the program
	listener, err := setFilter(calls)
	if err != nil {
		return fmt.Errorf("set up filter: %w", err)
	}
	if err := unix.Sendmsg(socketFD, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return fmt.Errorf("send listener: %w", err)
	}
	_, _, _ = unix.Syscall(unix.SYS_CLOSE, socketFD, 0, 0)
	_ = os.Unsetenv(launched)
	return fmt.Errorf("execute %s: %w", os.Args[0], syscall.Exec(os.Args[0], os.Args[1:], os.Environ()))
}

// setFilter makes the kernel ask before each of the calls, and returns the listener
// for its questions.
func setFilter(calls []string) (listener int, err error) {
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{{Code: load}} // the number of the call
	for _, call := range calls {
		var number uint32
		if _, err := fmt.Sscan(call, &number); err != nil {
			return 0, fmt.Errorf("number of call: %w", err)
		}
		program = append(program, unix.SockFilter{Code: equal, K: number, Jf: 1}, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	program = append(program, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
	if os.Geteuid() != 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return 0, err
		}
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// receiveListener returns the listener that the launcher sends.
func receiveListener(socket int) (listener int, err error) {
	var b [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, b[:], control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("receive listener: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("the launcher sent no listener: %w", err)
	}
	rights, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(rights) != 1 {
		return 0, fmt.Errorf("read listener: %w", err)
	}
	return rights[0], nil
}
