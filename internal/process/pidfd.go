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

// openPidfd opens a pidfd for a process and checks that the pid was not reused. From then on the
// descriptor refers to that process only (EV-08). The error is ESRCH if the process has exited.
func openPidfd(p plugin.Process) (fd int, err error) {
	fd, err = unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	s, err := procfs.ReadStat(p.PID)
	if err != nil || s.Born != p.StartTicks || !s.Live() {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("open process %d: %w", p.PID, syscall.ESRCH)
	}
	return fd, nil
}

// The layout of the kernel's struct pidfd_info of Linux 6.13. Since 6.15 it has the exit status.
const (
	infoSize     = 64
	infoExit     = 1 << 3                                   // PIDFD_INFO_EXIT, in the mask
	infoExitCode = 60                                       // offset of the exit code
	pidfdGetInfo = 0xC0000000 | infoSize<<16 | 0xFF<<8 | 11 // _IOWR(0xFF, 11, struct pidfd_info)
)

// queryExitStatus queries the kernel for the exit status of a process that is not our child. The kernel
// knows it after the parent has reaped the process.
func queryExitStatus(fd int) (status syscall.WaitStatus, known bool) {
	var info [infoSize]byte
	binary.NativeEndian.PutUint64(info[:], infoExit)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	if errno != 0 || binary.NativeEndian.Uint64(info[:])&infoExit == 0 {
		return 0, false
	}
	return syscall.WaitStatus(binary.NativeEndian.Uint32(info[infoExitCode:])), true
}

// reapByDescriptor reaps a child of this process that has exited.
func reapByDescriptor(fd int) (status syscall.WaitStatus, reaped bool) {
	var info unix.Siginfo
	err := ignoringEINTR(func() error {
		return unix.Waitid(unix.P_PIDFD, fd, &info, unix.WEXITED|unix.WNOHANG, nil)
	})
	if err != nil || info.Signo == 0 { // not our child, or not exited
		return 0, false
	}
	how := *(*childInfo)(unsafe.Pointer(&info))
	if info.Code == cldExited {
		return syscall.WaitStatus(how.status << 8), true
	}
	return syscall.WaitStatus(how.status), true // a signal, see wait(2)
}

// childInfo is the siginfo_t of a child on 64-bit systems.
type childInfo struct {
	signo, errno, code, _ int32
	pid, uid              uint32
	status                int32
}

const cldExited = 1 // CLD_EXITED: it exited by itself

// exitSet is a set of processes whose exit the kernel reports.
type exitSet struct {
	file *os.File // an epoll instance
}

func newExitSet() (*exitSet, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime can poll it
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	return &exitSet{os.NewFile(uintptr(fd), "processes")}, nil
}

func (e *exitSet) epollControl(op, fd int) error {
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

func (e *exitSet) addDescriptor(fd int) error { return e.epollControl(unix.EPOLL_CTL_ADD, fd) }

func (e *exitSet) remove(fd int) { _ = e.epollControl(unix.EPOLL_CTL_DEL, fd) }

// waitExited returns the descriptors of processes that have exited, on each call until they are dropped.
// It returns an error when the set is closed or its read deadline passes.
func (e *exitSet) waitExited() ([]int, error) {
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

func (e *exitSet) closeSet() error { return e.file.Close() }
