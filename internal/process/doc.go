// Package process starts processes, waits for them, kills what a command leaves behind by mistake,
// and tracks the daemons that a command leaves behind on purpose. No other package starts processes
// or waits for them. Of a plugin it knows the name: every process that a plugin's command leaves
// running belongs to that name until it exits.
//
// # The process tree
//
// A command is started without a shell, in its own process group, with /dev/null as its standard
// input and / as its working directory. When its deadline passes or its context ends, the group
// gets SIGTERM, then the grace period, then SIGKILL. Run returns when no member of the group is
// alive (RS-08, SC-09). A zombie does not count as alive: its parent has to reap it.
//
// A group ID is safe to signal only while the kernel cannot give it to another group. The ID is the
// pid of the first process, and the kernel does not reuse a pid before the process is reaped. So
// the first process is waited for without reaping it (WNOWAIT), all signals are sent while it is
// alive or a zombie, and it is reaped last. After that the group is only inspected. One SIGKILL is
// enough: a process with a pending SIGKILL can neither fork nor leave the group.
//
// A process that called setsid has left the group. A verb that starts a daemon does this on
// purpose. With any other command such a process escapes, but it cannot delay Run: a pipe that it
// holds open is closed shortly after the command exits.
//
// Package vfork starts a command, on a goroutine of its own. An execve that hangs delays no other
// command. It is killed at the deadline of its command, and says nothing about the program
// (hostfault.Err). The command inherits only the environment from this process: no descriptor,
// umask, nice value, ignored signal or OOM score (EV-30).
//
// # Output
//
// A command without a Log prints into a pipe that is always read. The last 64 KiB are kept, or the
// number of bytes that the command names. A command with a Log appends to that file.
//
// When a command exits by itself, the processes that it leaves in its group are killed. A Daemon
// command is the exception: its group is left running. Such a command never gets a pipe, because
// the daemon would get SIGPIPE when this process stops. When this process stops, everything that it
// started keeps running (RS-10): there is no parent-death signal, shared group or pipe.
//
// # Exits
//
// A Tracker reports the exit of a plugin: its last process has exited, and no command is running
// that could leave another one (EV-01). It finds the processes of a plugin in up to three ways, and
// watches them in one.
//
// With cgroup v2, a Daemon command starts in the plugin's own leaf (command_scope.go). All that it
// forks stays there, also after a double fork and setsid (EV-02). A probe starts in a sibling leaf,
// so that a probe that hangs does not hide an exit. Without cgroups, processes are recognized by
// the PLUGIN_DIR in their environment. So are children of this process that have left their leaf
// (EV-03). Processes of an earlier run of the supervisor are recognized by pid, start time and boot
// ID, because a pid alone may have been reused (EV-08).
//
// One scan over all processes serves all plugins that are asked about at that time (stray.go).
//
// The oldest processes of a plugin, up to a maximum, are watched with pidfds in one epoll set. When
// all of them have exited, the tracker looks for others. If there are none, the plugin has exited.
// The oldest of the processes that exited together gives the cause (follow.go). The exit of the
// oldest process while others are alive is reported separately (partial.go, EV-23). The cgroup
// event "leaf is empty" leads to the same inspection (inspect.go). It comes at most every 10 ms,
// the event of a pidfd comes at once.
//
// Processes that replace each other faster than they can be listed do not count as an exit: a leaf
// that is populated, but shows no live process, is inspected again. Without cgroups this cannot be
// seen, and such a plugin may escape.
//
// # Waiting
//
// This process is a child subreaper: it reaps the orphans of plugins and reads their exit status
// (reaper.go). It does not reap running commands: each of them is waited for separately (child.go).
// The kernel stores the pid of a command before the command runs, so the reaper also knows commands
// that are being started. The exit status of processes with another parent comes from the kernel
// (pidfd.go). The kernel has it only after the parent has reaped them, so this cause may come late
// (EV-10).
package process
