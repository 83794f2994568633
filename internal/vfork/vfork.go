// Package vfork starts a program so that a hung execve, such as on a file system that
// does not answer, delays only the thread that waits for it (EV-24). The standard
// library holds a part of the Go scheduler meanwhile: at the next garbage collection
// the whole process would hang.
//
// As with the standard library, the child shares our memory until it has executed the
// program, so a start is as cheap. It uses the same hooks of the runtime as package
// syscall. The child inherits nothing of our process but its environment (EV-30).
//
// The package imports nothing that package syscall imports. So it is initialized before
// package syscall raises the limit of open files (see OpenFiles).
package vfork

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

//go:linkname enterSyscall runtime.entersyscall
func enterSyscall()

//go:linkname exitSyscall runtime.exitsyscall
func exitSyscall()

func rawSyscall(trap, a1, a2, a3, a4 uintptr) (r1, errno uintptr)

// Constants that are the same on every architecture.
const (
	sysClone3     = 435
	sysCloseRange = 436

	sigChild   = 17
	sigSetMask = 2
	signals    = 64
	sigSetSize = 8

	cloneVM           = 0x100
	cloneVfork        = 0x4000
	cloneParentSetTID = 0x100000
	cloneIntoCgroup   = 0x200000000

	noFile        = 7      // RLIMIT_NOFILE
	setForeground = 0x5410 // TIOCSPGRP

	closeOnExec = 0x80000 // O_CLOEXEC
	writeOnly   = 1
	atCWD       = ^uintptr(99) // AT_FDCWD, -100

	childUmask = 0o022
)

// limit is the kernel's struct rlimit64.
type limit struct{ soft, hard uint64 }

// openFiles is the limit of open files at the start of this process.
var openFiles = readOpenFiles()

func readOpenFiles() (l limit) {
	_, _ = rawSyscall(sysPrlimit, 0, noFile, 0, uintptr(unsafe.Pointer(&l)))
	return l
}

// OpenFiles returns the limits of open files at the start of this process. Package
// syscall has raised the soft one since; started programs get the original limits
// (EV-31).
func OpenFiles() (soft, hard uint64) { return openFiles.soft, openFiles.hard }

// Start holds the parameters of one start of a program. Strings end with NUL, arrays
// with nil.
type Start struct {
	Path, Dir *byte
	Args, Env **byte
	Stdin     int // a descriptor above 2
	Output    int // a descriptor above 2, for standard output
	Errors    int // a descriptor above 2, for standard error
	Cgroup    int // descriptor of the child's cgroup; negative: that of the thread

	// Ignored holds the signals that this process ignores, 1 << (number - 1) each.
	// The child does not ignore them.
	Ignored  uint64
	Renice   bool // sets the nice value of the child to 0
	ResetOOM bool // sets the oom_score_adj of the child to 0

	Foreground bool // the child's group becomes the foreground group of the terminal Stdin

	pid     int32   // set by the kernel before the child runs
	errno   uintptr // set by the child when a system call fails
	clone   cloneArgs
	action  struct{ handler, flags, restorer, mask uintptr } // the kernel's struct sigaction: SIG_DFL
	mask    uint64                                           // an empty signal mask
	oomFile [len("/proc/self/oom_score_adj") + 1]byte
	zero    [1]byte
}

// cloneArgs is the kernel's struct clone_args, as Linux 5.7 has it.
type cloneArgs struct {
	flags, pidFD, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// PID returns the pid of the child, 0 before it exists. Another goroutine may call it
// while Run waits.
func (s *Start) PID() int { return int(atomic.LoadInt32(&s.pid)) }

// Reset prepares a Start for another Run after its child was reaped.
func (s *Start) Reset() { atomic.StoreInt32(&s.pid, 0) }

// Run starts the program as a child in its own process group, with umask 022 and no
// signal blocked, and returns when the program is executed or the child was killed. If
// the program cannot be executed, errno is the reason and the caller must reap the child
// pid; pid 0 means that there is no child.
//
//go:noinline
//go:norace
//go:nocheckptr
func (s *Start) Run() (pid int, errno uintptr) {
	copy(s.oomFile[:], "/proc/self/oom_score_adj")
	s.zero[0] = '0'
	flags := uintptr(cloneVM | cloneVfork | cloneParentSetTID)
	trap, a1, a2, a3 := uintptr(sysClone), flags|sigChild, uintptr(0), uintptr(unsafe.Pointer(&s.pid))
	if s.Cgroup >= 0 {
		s.clone = cloneArgs{
			flags: uint64(flags) | cloneIntoCgroup, parentTID: uint64(uintptr(unsafe.Pointer(&s.pid))),
			exitSignal: sigChild, cgroup: uint64(s.Cgroup),
		}
		trap, a1, a2, a3 = sysClone3, uintptr(unsafe.Pointer(&s.clone)), unsafe.Sizeof(s.clone), 0
	}
	enterSyscall()
	child, errno := s.forkChild(trap, a1, a2, a3)
	afterFork()
	exitSyscall()
	runtime.KeepAlive(s)
	if errno != 0 {
		return 0, errno
	}
	return int(child), s.errno
}

// forkChild forks and returns in the parent only. The child has then overwritten all of
// the frame except the results, so nothing more is done here. From here on nothing
// allocates and no stack grows.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (s *Start) forkChild(trap, a1, a2, a3 uintptr) (pid, errno uintptr) {
	beforeFork()
	pid, errno = rawSyscall(trap, a1, a2, a3, 0)
	if pid != 0 {
		return pid, errno
	}
	s.setGroup()
	afterForkInChild()
	s.execute()
	for {
		rawSyscall(sysExit, 253, 0, 0, 0)
	}
}

// setGroup gives the child its own process group. Signals are still blocked, so that
// SIGTTOU does not stop it.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (s *Start) setGroup() {
	rawSyscall(sysSetpgid, 0, 0, 0, 0)
	if s.Foreground {
		rawSyscall(sysIoctl, uintptr(s.Stdin), setForeground, uintptr(unsafe.Pointer(&s.pid)), 0)
	}
}

// execute sets up the child and executes the program. It returns only on failure, with
// the reason in s.errno.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (s *Start) execute() {
	rawSyscall(sysSigprocmask, sigSetMask, uintptr(unsafe.Pointer(&s.mask)), 0, sigSetSize)
	for sig := uintptr(1); sig <= signals && s.Ignored != 0; sig++ {
		if s.Ignored&(1<<(sig-1)) != 0 {
			rawSyscall(sysSigaction, sig, uintptr(unsafe.Pointer(&s.action)), 0, sigSetSize)
		}
	}
	rawSyscall(sysUmask, childUmask, 0, 0, 0)
	if _, s.errno = rawSyscall(sysChdir, uintptr(unsafe.Pointer(s.Dir)), 0, 0, 0); s.errno != 0 {
		return
	}
	if _, s.errno = rawSyscall(sysDup3, uintptr(s.Stdin), 0, 0, 0); s.errno != 0 {
		return
	}
	if _, s.errno = rawSyscall(sysDup3, uintptr(s.Output), 1, 0, 0); s.errno != 0 {
		return
	}
	if _, s.errno = rawSyscall(sysDup3, uintptr(s.Errors), 2, 0, 0); s.errno != 0 {
		return
	}
	rawSyscall(sysCloseRange, 3, 1<<32-1, 0, 0) // an older kernel closes them with the execve
	if s.Renice {
		rawSyscall(sysSetpriority, 0, 0, 0, 0)
	}
	if s.ResetOOM {
		fd, errno := rawSyscall(sysOpenat, atCWD, uintptr(unsafe.Pointer(&s.oomFile)), writeOnly|closeOnExec, 0)
		if errno == 0 {
			rawSyscall(sysWrite, fd, uintptr(unsafe.Pointer(&s.zero)), 1, 0)
			rawSyscall(sysClose, fd, 0, 0, 0)
		}
	}
	rawSyscall(sysPrlimit, 0, noFile, uintptr(unsafe.Pointer(&openFiles)), 0)
	_, s.errno = rawSyscall(sysExecve, uintptr(unsafe.Pointer(s.Path)), uintptr(unsafe.Pointer(s.Args)), uintptr(unsafe.Pointer(s.Env)), 0)
}
