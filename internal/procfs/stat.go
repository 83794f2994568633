package procfs

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Stat holds the state of a process, from /proc/PID/stat.
type Stat struct {
	State   byte
	Parent  int
	Group   int
	Session int
	Threads int
	Born    uint64 // ticks since boot
}

// Live reports whether a thread of the process still runs. In a zombie with more than one
// thread only the first thread has exited.
func (s Stat) Live() bool {
	switch s.State {
	case 'Z', 'X', 'x':
		return s.Threads > 1
	default:
		return true
	}
}

// ReadStat reads /proc/PID/stat; an error mostly means that the process is gone.
func ReadStat(pid int) (Stat, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Stat{}, err
	}
	defer unix.Close(fd)
	var buf [1024]byte // the longest line has 52 numbers and a name of 64 bytes
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return Stat{}, err
	}
	return ParseStat(buf[:n])
}

// Indexes of fields of /proc/PID/stat, counted from the field after the name, which is
// the second one in proc(5).
const (
	fieldState   = 0
	fieldParent  = 1
	fieldGroup   = 2
	fieldSession = 3
	fieldThreads = 17
	fieldBorn    = 19
)

// ParseStat parses the line of /proc/PID/stat. The name, in parentheses, may contain any
// character, including parentheses and spaces.
func ParseStat(line []byte) (Stat, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return Stat{}, fmt.Errorf("parse process state: no name in %q", line)
	}
	fields := bytes.Fields(line[end+1:])
	if len(fields) <= fieldBorn || len(fields[fieldState]) != 1 {
		return Stat{}, fmt.Errorf("parse process state: too short: %q", line)
	}
	s := Stat{State: fields[fieldState][0]}
	var err error
	if s.Parent, err = strconv.Atoi(string(fields[fieldParent])); err != nil {
		return Stat{}, fmt.Errorf("parse parent: %w", err)
	}
	if s.Group, err = strconv.Atoi(string(fields[fieldGroup])); err != nil {
		return Stat{}, fmt.Errorf("parse process group: %w", err)
	}
	if s.Session, err = strconv.Atoi(string(fields[fieldSession])); err != nil {
		return Stat{}, fmt.Errorf("parse session: %w", err)
	}
	if s.Threads, err = strconv.Atoi(string(fields[fieldThreads])); err != nil {
		return Stat{}, fmt.Errorf("parse thread count: %w", err)
	}
	if s.Born, err = strconv.ParseUint(string(fields[fieldBorn]), 10, 64); err != nil {
		return Stat{}, fmt.Errorf("parse start time: %w", err)
	}
	return s, nil
}
