package process

import (
	"errors"
	"slices"
	"syscall"

	"pluginsupervisor/internal/procfs"
)

// group tracks the live members of a process group.
type group struct {
	id    int
	known []int // members that were alive at the last check
	// bornBy is the time when the first process of the group was reaped, in ticks since boot; 0
	// before. A process that was born later belongs to another group, which got the ID after ours
	// was empty.
	bornBy uint64
}

// isEmpty reports whether no member of the group is alive. It reads all of /proc only when all known
// members have exited, so that frequent calls are cheap.
func (g *group) isEmpty() bool {
	if g.bornBy != 0 && errors.Is(syscall.Kill(-g.id, 0), syscall.ESRCH) {
		return true // no member, not even a zombie
	}
	g.known = slices.DeleteFunc(g.known, func(pid int) bool { return !g.isMember(pid) })
	if len(g.known) > 0 {
		return false
	}
	pids, err := procfs.PIDs()
	if err != nil {
		return false // the check above decides once the zombies are reaped
	}
	g.known = slices.DeleteFunc(pids, func(pid int) bool { return !g.isMember(pid) })
	return len(g.known) == 0
}

// isMember reports whether a process is a live member of the group.
func (g *group) isMember(pid int) bool {
	s, err := procfs.ReadStat(pid)
	return err == nil && s.Group == g.id && s.Live() && (g.bornBy == 0 || s.Born <= g.bornBy)
}
