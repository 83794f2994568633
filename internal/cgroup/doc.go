// Package cgroup gives each plugin its own cgroup, reports when it is empty, kills
// the processes in it, and limits their resources (EV-01, EV-02, EV-17).
//
// A process cannot leave a cgroup by forking, calling setsid or losing its parent.
// Only a cgroup reports the exit of processes that are not our children. Cgroups
// stay when the supervisor exits: its next process finds them with the running
// plugins.
//
// # The place
//
// Everything is in one folder of the cgroup v2 hierarchy:
//
//	PLACE/supervisor-1a2b3c4d/NAME           a plugin's leaf: commands that may start a daemon
//	PLACE/supervisor-1a2b3c4d.probes/NAME    its sibling: status probes
//
// where 1a2b3c4d are the first 8 hex digits of the SHA-256 of the supervisor's
// root, so that two supervisors on one host use different folders. PLACE is the
// cgroup that is delegated to us: our own, or its parent if the service manager
// put us in a subgroup of it (DelegateSubgroup= of systemd). Without delegation it
// is the mount point, if we may write there. Hybrid hosts, with a v2 hierarchy
// without controllers beside those of v1, support everything except limits in v2.
//
// Processes start in their leaf: the kernel's fork puts them there (Linux 5.7;
// before that there is no place, see ErrNone). No process is ever moved into a
// leaf.
//
// # Events
//
// For each leaf the kernel notifies of a change of cgroup.events at most once in
// 10 ms. The last state is always notified. Zombies do not count as processes. The
// state that Follow reports may be outdated; call Populated to be certain. Cgroups
// that a plugin makes below its leaf are part of the leaf.
//
// # Limits
//
// A controller is in one hierarchy only. In v2 it is enabled for the leaves when the
// first limit needs it. The kernel does not permit that while a process is in PLACE
// itself: if PLACE is delegated to us and we are in it, we move to
// PLACE/supervisor. A service manager can then not start us in PLACE again while
// plugins run, so a unit with limits should set DelegateSubgroup=supervisor, which
// has the same effect without moving.
//
// In v1, leaves with limits have counterparts below our own v1 cgroup of that
// controller. A new process inherits its v1 cgroups from the thread that forks it,
// so that thread enters them before and leaves them after. For that instant it uses
// one of the plugin's pids.
//
// When a plugin reaches its memory limit, v2 kills all processes in the leaf
// (memory.oom.group), because remaining processes would do no work but hide the
// exit. v1 can kill only one process.
package cgroup
