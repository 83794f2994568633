package procfs

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// IsExiting reports whether no thread of a process will run its program again: each one
// has exited, is exiting, or was killed and does not know it yet. After kill(2) a process
// stays alive for a moment, and everything else looks as if it ran.
func IsExiting(pid int) bool {
	tasks := filepath.Join("/proc", strconv.Itoa(pid), "task")
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return true // the process is gone
	}
	for _, t := range threads {
		stat, err := os.ReadFile(filepath.Join(tasks, t.Name(), "stat"))
		if err != nil || isThreadExiting(stat) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(tasks, t.Name(), "status"))
		if err == nil && !isKillPending(status) {
			return false
		}
	}
	return true
}

// isThreadExiting parses the stat file of a thread.
func isThreadExiting(stat []byte) bool {
	const (
		fieldFlags = 6 // counted as in ParseStat
		exiting    = 4 // PF_EXITING of the kernel
	)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= fieldFlags {
		return false
	}
	flags, err := strconv.ParseUint(string(fields[fieldFlags]), 10, 64)
	return err == nil && flags&exiting != 0 || bytes.ContainsAny(fields[fieldState], "ZXx")
}

// isKillPending parses the status file of a thread: signals that wait for it, and for its
// whole process.
func isKillPending(status []byte) bool {
	for line := range bytes.Lines(status) {
		key, mask, _ := bytes.Cut(line, []byte(":"))
		if string(key) != "SigPnd" && string(key) != "ShdPnd" {
			continue
		}
		pending, err := strconv.ParseUint(string(bytes.TrimSpace(mask)), 16, 64)
		if err == nil && pending&(1<<(unix.SIGKILL-1)) != 0 {
			return true
		}
	}
	return false
}
