// Package process runs programs, leaves nothing of them behind that was not to
// stay, and follows what was. It is the only package that starts processes and
// the only one that waits for them. Of plugins it knows their names: what a
// command of one leaves running belongs to that name, until all of it has ended.
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
// A command is started by package vfork, on a goroutine of its own. One whose
// execve hangs holds up nothing else; at its deadline it is killed, and says
// nothing about the program (hostfault.Err). It gets nothing that this process was
// started with but the environment: no descriptor, umask, nice value, ignored
// signal or OOM score (EV-30).
//
// # Output
//
// A command without a Log prints into a pipe, is never held up by us, and its
// last 64 KiB are kept, or as many as it says. With a Log it prints into a file
// opened for append.
//
// What a command leaves in its group when it has ended by itself is killed,
// unless the command may leave a Daemon: then the rest of the group is left
// alone. A daemon would die of SIGPIPE with us at the other end of a pipe, so it
// never has one. When we end, nothing that was started is touched (RS-10): no
// parent-death signal, no shared group, no pipe.
//
// # Following
//
// A Tracker tells of the end of a plugin: the last of its processes has ended,
// and no command runs that could leave another (EV-01). What belongs to a
// plugin is found in up to three ways, and watched in one.
//
// With cgroup v2, a command that may leave a daemon begins in the plugin's own
// leaf (room.go): whatever it forks stays there, through double forks and
// setsid (EV-02). What only asks begins in a sibling leaf, so that a probe that
// hangs hides no end. Without, processes are known by the PLUGIN_DIR they were
// given, and so are, among our own children, those that have left their leaf
// (EV-03). Those of an earlier life of the supervisor are known by pid, start
// time and boot: a number alone is never trusted (EV-08).
//
// One pass over the processes finds those of all plugins that are asked about
// at the time (stray.go).
//
// Whatever was found is watched by pidfd, the eldest few of each plugin, in one
// epoll set. When all of those have ended, it is looked for others; when there
// are none, the plugin has ended, and the eldest of those that ended together
// tells why (follow.go). When the oldest of those exits and others live on, that
// is reported by itself (partial.go, EV-23). The kernel's word that a leaf is empty leads to the
// same look (look.go): it comes at most every 10 ms, a pidfd's at once.
//
// Processes that follow each other faster than they can be listed are not
// taken for dead: a leaf that is populated while none in it is seen alive is
// looked at again. Without cgroups that cannot be known, and such a plugin may
// escape.
//
// # Waiting
//
// This process is a child subreaper: what a plugin orphans is ours to reap,
// with the cause of its end (reaper.go). The pids of running commands are left
// alone: each is waited for by itself (child.go). The kernel tells the pid of a
// command before it runs, so the reaper knows those that are being started.
// How others' children ended is asked of the kernel (pidfd.go); it knows when
// their parent has reaped them, so that their cause may come later (EV-10).
package process
