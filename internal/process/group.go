package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
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
	pids, err := processes()
	if err != nil {
		return false // the kill above decides, when the zombies have been reaped
	}
	g.known = slices.DeleteFunc(pids, func(pid int) bool { return !g.has(pid) })
	return len(g.known) == 0
}

// has tells whether a process is a live member of the group.
func (g *group) has(pid int) bool {
	s, err := readStat(pid)
	return err == nil && s.group == g.id && s.live() && (g.bornBy == 0 || s.born <= g.bornBy)
}

// stat is what /proc/PID/stat tells of a process.
type stat struct {
	state   byte
	parent  int
	group   int
	threads int
	born    uint64 // ticks since boot
}

// live tells whether the process still runs anything. A zombie with more than
// one thread is a process whose first thread alone has ended.
func (s stat) live() bool {
	switch s.state {
	case 'Z', 'X', 'x':
		return s.threads > 1
	default:
		return true
	}
}

// processes lists the pids of the host.
func processes() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("open process list: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read process list: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// readStat reads /proc/PID/stat; an error mostly means that the process is gone.
func readStat(pid int) (stat, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, err
	}
	defer unix.Close(fd)
	var buf [1024]byte // the longest line has 52 numbers and a name of 64 bytes
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return stat{}, err
	}
	return parseStat(buf[:n])
}

// The fields of /proc/PID/stat that are read, counted from the one after the
// name, which is the second of proc(5)'s count.
const (
	fieldState   = 0
	fieldParent  = 1
	fieldGroup   = 2
	fieldThreads = 17
	fieldBorn    = 19
)

// parseStat reads the line of /proc/PID/stat. The name, in parentheses, may
// hold anything, parentheses and spaces too.
func parseStat(line []byte) (stat, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("parse process state: no name in %q", line)
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) <= fieldBorn || len(fields[fieldState]) != 1 {
		return stat{}, fmt.Errorf("parse process state: too short: %q", line)
	}
	s := stat{state: fields[fieldState][0]}
	var err error
	if s.parent, err = strconv.Atoi(string(fields[fieldParent])); err != nil {
		return stat{}, fmt.Errorf("parse parent: %w", err)
	}
	if s.group, err = strconv.Atoi(string(fields[fieldGroup])); err != nil {
		return stat{}, fmt.Errorf("parse process group: %w", err)
	}
	if s.threads, err = strconv.Atoi(string(fields[fieldThreads])); err != nil {
		return stat{}, fmt.Errorf("parse thread count: %w", err)
	}
	if s.born, err = strconv.ParseUint(string(fields[fieldBorn]), 10, 64); err != nil {
		return stat{}, fmt.Errorf("parse start time: %w", err)
	}
	return s, nil
}

// ticksPerSecond is the unit of the start time in /proc/PID/stat: USER_HZ,
// which is 100 on every architecture we build for.
const ticksPerSecond = 100

// bootTicks is the time since boot as /proc/PID/stat counts it, at least 1.
func bootTicks() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 1<<64 - 1 // unknown: every member counts
	}
	return max(1, uint64(now.Nano())/(1e9/ticksPerSecond))
}
