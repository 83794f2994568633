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
	Env     []string      // the whole environment ("K=V", the last of a key counts); nil: the caller's
	Dir     string        // working directory; "" means "/"
	Timeout time.Duration // deadline from the start; ≤ 0: none, the context alone ends it
	Keep    int           // how much of what it prints into the pipe is kept, in bytes; ≤ 0: 64 KiB
	Streams *Streams      // its standard streams, handed over as they are; nil: /dev/null, and a pipe or Log
	Plugin  string        // the plugin whose command it is; "": nobody's, and it has no cgroup (EV-02)
	Daemon  bool          // it may leave a process that is meant to stay: its group is not killed when it ends by itself
	// Log is the file that standard output and error are appended to; "" means a
	// pipe, of which the end is kept, and for a Daemon, which a pipe would end,
	// /dev/null.
	Log string
}

// Streams are the files that a command gets as its standard input, output and
// error. Nothing of what it prints passes through this process (CL-17).
type Streams struct {
	In, Out, Err *os.File
	// Foreground makes the command's group the foreground group of the terminal
	// In, from which it may read then. Who runs it takes the terminal back.
	Foreground bool
}

// Result is how a command ended.
type Result struct {
	ExitCode  int            // -1 when it did not exit by itself
	Signal    syscall.Signal // that ended it, 0 if none
	TimedOut  bool           // the deadline hit and the tree was ended
	Cancelled bool           // the context ended and so was the tree, or it was never started
	Started   bool           // false: it could not be run at all, Err says why
	Output    string         // the end of what it printed, or the last 4 KiB of what was appended to Log meanwhile; "" with Streams
	Took      time.Duration
	// Life and Processes are, of a plugin's command that is a Daemon, the number of
	// what it left running and what that runs as, the eldest first. It is
	// watched from now on. 0 and none without a Tracker.
	Life      uint64
	Processes []plugin.Process
	// Err is nil exactly when the command exited 0 by itself. Its text is for an
	// operator: "exit 3", "killed by SIGKILL", "no end in 3s", "executable
	// missing". Beneath it errors.Is finds context.DeadlineExceeded after the
	// deadline, the context's cause after its end, and for a command that could
	// not be run fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC,
	// syscall.ETXTBSY or whatever else the system said, and hostfault.Err if that is
	// the host's fault.
	Err error
}
