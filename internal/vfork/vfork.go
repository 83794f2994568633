// Package vfork starts a program so that an execve which hangs, on a file
// system that does not answer for example, delays nothing but the one thread
// that waits for it (EV-24). The standard library keeps a part of the Go
// scheduler over the wait: with the next garbage collection the whole process
// would stand still.
//
// The child shares our memory until it has executed the program, as that of
// the standard library does, so that a start costs as little. It uses the hooks
// of the runtime that package syscall uses. It gets nothing that we were
// started with but its environment (EV-30).
//
// The package imports nothing that package syscall imports: so it is
// initialized before that raises the limit of open files (see OpenFiles).
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

// Numbers that are the same on every architecture.
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

// openFiles is the limit of open files that this process was started with.
var openFiles = readOpenFiles()

func readOpenFiles() (l limit) {
	_, _ = rawSyscall(sysPrlimit, 0, noFile, 0, uintptr(unsafe.Pointer(&l)))
	return l
}

// OpenFiles returns the limits of open files that this process was started
// with. Package syscall has raised the soft one since; what is started gets
// them as they were (EV-31).
func OpenFiles() (soft, hard uint64) { return openFiles.soft, openFiles.hard }

// Start is one start of a program. What its pointers lead to ends with NUL or nil.
type Start struct {
	Path, Dir *byte
	Args, Env **byte
	Stdin     int // a descriptor above 2
	Output    int // a descriptor above 2, for standard output
	Errors    int // a descriptor above 2, for standard error
	Cgroup    int // the cgroup to begin in, a descriptor; negative: that of the thread

	// Ignored are the signals that are ignored by us, 1 << (number - 1) each: the
	// child does not ignore them.
	Ignored  uint64
	Renice   bool // our nice value is not 0, that of the child is to be
	ResetOOM bool // likewise our oom_score_adj

	Foreground bool // the child's group becomes the foreground group of the terminal Stdin

	pid     int32   // set by the kernel before the child runs
	errno   uintptr // of what failed in the child, set by it
	clone   cloneArgs
	action  struct{ handler, flags, restorer, mask uintptr } // the kernel's struct sigaction: SIG_DFL
	mask    uint64                                           // no signals
	oomFile [len("/proc/self/oom_score_adj") + 1]byte
	zero    [1]byte
}

// cloneArgs is the kernel's struct clone_args, as Linux 5.7 has it.
type cloneArgs struct {
	flags, pidFD, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// PID returns the number of the child, 0 as long as there is none. Another
// goroutine may call it while Run waits.
func (s *Start) PID() int { return int(atomic.LoadInt32(&s.pid)) }

// Reset makes a Start whose child has been reaped ready to Run again.
func (s *Start) Reset() { atomic.StoreInt32(&s.pid, 0) }

// Run starts the program as a child in a process group of its own, with umask
// 022 and no signal blocked, and returns when it has been executed, or the
// child was killed. If it cannot be executed, errno says why and pid is the
// child's, which has to be reaped; pid 0 means that there was none.
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
	child, errno := s.fork(trap, a1, a2, a3)
	afterFork()
	exitSyscall()
	runtime.KeepAlive(s)
	if errno != 0 {
		return 0, errno
	}
	return int(child), s.errno
}

// fork returns in the parent only. Then the child has overwritten all of the
// frame but the results, so nothing is done here any more. Nothing is allocated
// from here on, and no stack grown.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (s *Start) fork(trap, a1, a2, a3 uintptr) (pid, errno uintptr) {
	beforeFork()
	pid, errno = rawSyscall(trap, a1, a2, a3, 0)
	if pid != 0 {
		return pid, errno
	}
	s.group()
	afterForkInChild()
	s.exec()
	for {
		rawSyscall(sysExit, 253, 0, 0, 0)
	}
}

// group gives the child a process group of its own. Signals are still blocked, so
// that SIGTTOU does not stop it.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (s *Start) group() {
	rawSyscall(sysSetpgid, 0, 0, 0, 0)
	if s.Foreground {
		rawSyscall(sysIoctl, uintptr(s.Stdin), setForeground, uintptr(unsafe.Pointer(&s.pid)), 0)
	}
}

// exec makes the child what it is to be, and executes the program. It returns
// if that fails, and s.errno says why.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func (s *Start) exec() {
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
