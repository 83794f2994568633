// Package process runs one program at a time and leaves nothing of it behind.
// It is the only package that starts processes and the only one that waits
// for them; it knows nothing of plugins.
//
// # The tree
//
// A command is started without a shell, in a process group of its own, with
// /dev/null as its standard input and / as its working directory. At its
// deadline, or when its context ends, the group gets SIGTERM, then a grace,
// then SIGKILL, and Run returns when no live member is left (RS-08, SC-09).
// Zombies do not count: they run no more and are their parent's to reap.
//
// A group's number is safe to signal only as long as it cannot have passed to
// somebody else's group. The number is that of its first process, and the
// kernel does not give a number out again before that process has been
// reaped. So the first process is waited for without being reaped, every
// signal is sent while it is still there, alive or as a zombie, and reaping it
// comes last. After that the group is only looked at. One SIGKILL is enough: a
// process that has it pending can neither fork nor leave.
//
// A process that called setsid has left the group. For a verb that starts a
// daemon that is the point. Of any other command it escapes, but cannot hold
// Run up: a pipe it kept open is closed a moment after the command has ended.
//
// # Output
//
// A command without a Log prints into a pipe, is never held up by us, and its
// last 64 KiB are kept, or as many as it says. What it leaves in its group when it has ended is killed.
//
// A command with a Log may leave a daemon, which would die of SIGPIPE with us
// at the other end of a pipe: it prints into a file opened for append. When it
// ends by itself, the rest of its group is the daemon and is left alone. When
// we end, nothing that was started is touched (RS-10): no parent-death signal,
// no shared group, no pipe.
//
// # Waiting
//
// Each command is waited for by its own pid (child.go), so that whoever comes
// to reap orphans beside it has to leave the pids of running commands alone,
// and nothing else.
package process
