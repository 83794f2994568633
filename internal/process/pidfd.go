package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// hold opens a process by its number and makes sure that it is the one that is
// meant: from then on the descriptor is of it and of no other (EV-08). The
// error is ESRCH if it has ended.
func hold(p plugin.Process) (fd int, err error) {
	fd, err = unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	s, err := procfs.ReadStat(p.PID)
	if err != nil || s.Born != p.Born || !s.Live() {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("open process %d: %w", p.PID, syscall.ESRCH)
	}
	return fd, nil
}

// The kernel's struct pidfd_info, as Linux 6.13 has it; 6.15 fills in how a
// process ended.
const (
	infoSize     = 64
	infoExit     = 1 << 3                                   // PIDFD_INFO_EXIT, in its mask
	infoExitCode = 60                                       // where the exit code is
	pidfdGetInfo = 0xC0000000 | infoSize<<16 | 0xFF<<8 | 11 // _IOWR(0xFF, 11, struct pidfd_info)
)

// howEnded asks the kernel how a process ended that is not our child. It knows
// when the parent has reaped it.
func howEnded(fd int) (status syscall.WaitStatus, known bool) {
	var info [infoSize]byte
	binary.NativeEndian.PutUint64(info[:], infoExit)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	if errno != 0 || binary.NativeEndian.Uint64(info[:])&infoExit == 0 {
		return 0, false
	}
	return syscall.WaitStatus(binary.NativeEndian.Uint32(info[infoExitCode:])), true
}

// reapHeld reaps a child of ours that has ended.
func reapHeld(fd int) (status syscall.WaitStatus, reaped bool) {
	var info unix.Siginfo
	err := ignoringEINTR(func() error {
		return unix.Waitid(unix.P_PIDFD, fd, &info, unix.WEXITED|unix.WNOHANG, nil)
	})
	if err != nil || info.Signo == 0 { // not ours, or not ended
		return 0, false
	}
	how := *(*childInfo)(unsafe.Pointer(&info))
	if info.Code == cldExited {
		return syscall.WaitStatus(how.status << 8), true
	}
	return syscall.WaitStatus(how.status), true // a signal, see wait(2)
}

// childInfo is siginfo_t of a child, on 64-bit systems.
type childInfo struct {
	signo, errno, code, _ int32
	pid, uid              uint32
	status                int32
}

const cldExited = 1 // CLD_EXITED: it exited by itself

// ends is a set of processes of which the kernel tells when they have ended.
type ends struct {
	file *os.File // an epoll instance
}

func newEnds() (*ends, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for the runtime to wait for it
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	return &ends{os.NewFile(uintptr(fd), "processes")}, nil
}

func (e *ends) control(op, fd int) error {
	conn, err := e.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(ep uintptr) {
		failed = unix.EpollCtl(int(ep), op, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	})
	return errors.Join(err, failed)
}

func (e *ends) add(fd int) error { return e.control(unix.EPOLL_CTL_ADD, fd) }

func (e *ends) drop(fd int) { _ = e.control(unix.EPOLL_CTL_DEL, fd) }

// wait gives the descriptors of processes that have ended, again and again
// until they are dropped. It ends with an error when the set is closed, or its
// read deadline is set.
func (e *ends) wait() ([]int, error) {
	conn, err := e.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var events [64]unix.EpollEvent
	var n int
	var failed error
	err = conn.Read(func(ep uintptr) bool {
		failed = ignoringEINTR(func() error {
			n, err = unix.EpollWait(int(ep), events[:], 0)
			return err
		})
		return failed != nil || n > 0
	})
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	fds := make([]int, n)
	for i, event := range events[:n] {
		fds[i] = int(event.Fd)
	}
	return fds, nil
}

func (e *ends) close() error { return e.file.Close() }
