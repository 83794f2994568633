package process

import (
	"os"
	"syscall"
	"time"

	"pluginsupervisor/plugin"
)

// Command is one program to run, without a shell.
type Command struct {
	Path    string        // of the executable, absolute
	Args    []string      // after argv[0]
	Env     []string      // the whole environment ("K=V", the last value of a key counts); nil: the caller's
	Dir     string        // working directory; "" means "/"
	Timeout time.Duration // from the start; ≤ 0: none, only the context ends the command
	Keep    int           // bytes of output to keep, when it prints into a pipe; ≤ 0: 64 KiB
	Streams *Streams      // its standard streams, passed as they are; nil: /dev/null as input, a pipe or Log as output
	Plugin  string        // the plugin that the command belongs to; "": none, and no cgroup (EV-02)
	Daemon  bool          // it may leave a daemon: its group is not killed when it exits by itself
	// Log is the file that standard output and error are appended to. "" means a pipe, of which the
	// last bytes are kept, and /dev/null for a Daemon, because a closed pipe would kill the daemon.
	Log string
}

// Streams holds the files that a command gets as its standard input, output and error. Its output
// does not pass through this process (CL-17).
type Streams struct {
	In, Out, Err *os.File
	// Foreground makes the command's group the foreground group of the terminal In, so that it may
	// read from it. The caller restores the terminal afterwards.
	Foreground bool
}

// Result describes how a command exited.
type Result struct {
	ExitCode  int            // -1 if it did not exit by itself
	Signal    syscall.Signal // that killed it, 0 if none
	TimedOut  bool           // the deadline passed and the process tree was killed
	Cancelled bool           // the context ended: the process tree was killed, or the command was never started
	Started   bool           // false: it could not be run, see Err
	Output    string         // the end of its output, or the last 4 KiB that were appended to Log meanwhile; "" with Streams
	Took      time.Duration
	// RunID is the run ID of the processes that a plugin's Daemon command left running, and Processes are its
	// processes, the oldest first. They are watched from now on. Both are empty without a Tracker.
	RunID     uint64
	Processes []plugin.Process
	// Err is nil only if the command exited by itself with 0. Its text is for operators: "exit 3",
	// "killed by SIGKILL", "did not return within 3s", "executable missing". It wraps
	// context.DeadlineExceeded after the deadline and the cause of the context after a cancel. For
	// a command that could not be run it wraps fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC,
	// syscall.ETXTBSY or another system error, and hostfault.Err if the host is at fault.
	Err error
}
