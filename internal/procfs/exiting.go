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
	process := filepath.Join("/proc", strconv.Itoa(pid))
	if stat, err := os.ReadFile(filepath.Join(process, "stat")); err == nil && isKilled(stat) {
		return true
	}
	tasks := filepath.Join(process, "task")
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

// isKilled parses the stat file of a process: newer kernels write its future exit code as
// soon as it is killed. Between that and its exit a thread has no other mark for a moment.
func isKilled(stat []byte) bool {
	const fieldExitCode, signalBits = 49, 0x7f // the field counted as in ParseStat
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= fieldExitCode {
		return false
	}
	code, err := strconv.Atoi(string(fields[fieldExitCode]))
	return err == nil && code&signalBits == int(unix.SIGKILL)
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
