// Package cgroup gives each plugin a cgroup of its own, tells when it is
// empty, ends what is in it, and bounds what it may use (EV-01, EV-02, EV-17).
//
// A cgroup is the one thing a process cannot leave by forking, calling setsid
// or losing its parent, and the one thing that tells of the end of processes
// that are nobody's children. It outlives the supervisor as well: the next
// life of it finds the leaves, and in them what runs.
//
// # The place
//
// Everything is in one folder of the cgroup v2 hierarchy:
//
//	PLACE/supervisor-1a2b3c4d/NAME           a plugin's leaf: whatever may leave a daemon
//	PLACE/supervisor-1a2b3c4d.probes/NAME    its sibling: what is only asked
//
// where 1a2b3c4d are the first 8 hex digits of the SHA-256 of the supervisor's
// root, so that two supervisors on one host do not meet. PLACE is the cgroup
// that was delegated to us: our own, or its parent if the service manager put
// us in a subgroup of it (DelegateSubgroup= of systemd). Without delegation it
// is what is mounted, if we may write there. Hybrid hosts, which have a v2
// hierarchy without controllers beside those of v1, are as good as any for all
// but limits.
//
// Processes begin in their leaf: the kernel's fork puts them there (Linux 5.7;
// before that there is no place, see ErrNone). Nothing is ever moved into one.
//
// # Events
//
// The kernel notifies of a change of the file cgroup.events at most once in 10
// ms for a leaf, and then of the last state, never of none. A zombie is not a
// process here. What Follow tells was true when it was read: who acts on it
// and must be sure asks Populated. A plugin may make cgroups below its leaf;
// they are part of it throughout.
//
// # Limits
//
// A controller is in one hierarchy only. Where it is in v2 it is handed down
// to the leaves when the first limit asks for it. The kernel refuses that as
// long as a process is in PLACE itself: if it was delegated to us and we are
// in it, we move to PLACE/supervisor. A service manager can then not start us
// anew in PLACE as long as plugins live, so a unit with limits should say
// DelegateSubgroup=supervisor, which comes to the same without moving.
//
// Where the controller is in v1, leaves with limits have counterparts below
// our own v1 cgroup of that controller. A new process takes its v1 cgroups
// from the thread that forks it, so that thread enters them before and goes
// back after. It needs one more of the plugin's pids for that instant.
//
// When a plugin reaches its memory limit, v2 kills all that is in the leaf
// (memory.oom.group): what is left of half a plugin does no work, but hides the
// exit. v1 can only kill one process.
package cgroup
