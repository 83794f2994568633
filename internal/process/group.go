package process

import (
	"errors"
	"slices"
	"syscall"

	"pluginsupervisor/internal/procfs"
)

// group watches the live members of a process group.
type group struct {
	id    int
	known []int // members found alive when last looked at
	// bornBy is when the group's first process was reaped, in ticks since boot;
	// 0 while it is not. A process born later is in another group, one that was
	// given the number after ours had emptied.
	bornBy uint64
}

// empty tells whether no member of the group is alive. All of /proc is read
// only when every member known of is gone, so asking often is cheap.
func (g *group) empty() bool {
	if g.bornBy != 0 && errors.Is(syscall.Kill(-g.id, 0), syscall.ESRCH) {
		return true // no member, not even a zombie
	}
	g.known = slices.DeleteFunc(g.known, func(pid int) bool { return !g.has(pid) })
	if len(g.known) > 0 {
		return false
	}
	pids, err := procfs.PIDs()
	if err != nil {
		return false // the kill above decides, when the zombies have been reaped
	}
	g.known = slices.DeleteFunc(pids, func(pid int) bool { return !g.has(pid) })
	return len(g.known) == 0
}

// has tells whether a process is a live member of the group.
func (g *group) has(pid int) bool {
	s, err := procfs.ReadStat(pid)
	return err == nil && s.Group == g.id && s.Live() && (g.bornBy == 0 || s.Born <= g.bornBy)
}
