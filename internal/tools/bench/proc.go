package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// memory is the memory of a process, in bytes. RSS counts shared pages in full, PSS
// counts this process's share of them.
type memory struct{ rss, pss int64 }

// readMemory returns the memory of a process.
func readMemory(pid int) (memory, error) {
	b, err := os.ReadFile(procFile(pid, "smaps_rollup"))
	if err != nil {
		return memory{}, fmt.Errorf("read memory: %w", err)
	}
	m, err := parseRollup(b)
	if err != nil {
		return memory{}, fmt.Errorf("read memory: %w", err)
	}
	return m, nil
}

// parseRollup reads /proc/PID/smaps_rollup.
func parseRollup(b []byte) (memory, error) {
	rss, err := parseNumber(b, "Rss")
	if err != nil {
		return memory{}, err
	}
	pss, err := parseNumber(b, "Pss")
	if err != nil {
		return memory{}, err
	}
	const kB = 1024 // the kernel's kB
	return memory{rss: rss * kB, pss: pss * kB}, nil
}

// parseNumber returns the number of a name in the lines "name: number [unit]" of a
// file of /proc.
func parseNumber(b []byte, name string) (int64, error) {
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte(name+":"))
		fields := bytes.Fields(rest)
		if !ok || len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("no %s", name)
}

// countWakeups returns how often the threads of a process gave up the CPU to wait,
// and so were woken.
func countWakeups(pid int) (int64, error) {
	threads, err := filepath.Glob(procFile(pid, "task/*/status"))
	if err != nil || len(threads) == 0 {
		return 0, errors.Join(fmt.Errorf("count wake-ups: process %d has exited", pid), err)
	}
	var all int64
	for _, status := range threads {
		b, err := os.ReadFile(status)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // this thread has exited
		}
		if err != nil {
			return 0, fmt.Errorf("count wake-ups: %w", err)
		}
		n, err := parseNumber(b, "voluntary_ctxt_switches")
		if err != nil {
			return 0, fmt.Errorf("count wake-ups: %w", err)
		}
		all += n
	}
	return all, nil
}

// readCPU returns the CPU time of a process, of all its threads. It reads the clock
// of the process (clock_getcpuclockid(3)), which counts nanoseconds. /proc/PID/stat
// counts hundredths of a second, and the budget of a minute has three of them.
func readCPU(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
