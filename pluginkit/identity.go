package pluginkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// identity identifies a process: the kernel reuses a pid, but not with the same
// start time in the same boot.
type identity struct {
	pid   int
	start uint64 // clock ticks after boot
	boot  string
}

func (id identity) String() string {
	return fmt.Sprintf("%d %d %s\n", id.pid, id.start, id.boot)
}

func parseIdentity(s string) (identity, error) {
	var id identity
	if _, err := fmt.Sscanf(s, "%d %d %s\n", &id.pid, &id.start, &id.boot); err != nil {
		return identity{}, fmt.Errorf("parse pid file: %w", err)
	}
	if id.pid <= 0 {
		return identity{}, fmt.Errorf("parse pid file: pid %d", id.pid)
	}
	return id, nil
}

func pidFile(dir string) string { return filepath.Join(dir, "daemon.pid") }

// readDaemon returns the process in the pid file, and reports whether it is alive. A
// file that cannot be read or parsed has no process.
func readDaemon(dir string) (id identity, alive bool) {
	b, err := os.ReadFile(pidFile(dir))
	if err != nil {
		return identity{}, false
	}
	if id, err = parseIdentity(string(b)); err != nil {
		return identity{}, false
	}
	return id, id.isAlive()
}

// isAlive reports whether exactly this process is running. A process that is
// exiting is not running, nor is a zombie.
func (id identity) isAlive() bool {
	now, zombie, err := identifyProcess(id.pid)
	return err == nil && now == id && !zombie
}

// stopProcess stops the process and returns when it has exited: it sends TERM, and
// KILL after timeout.
func (id identity) stopProcess(ctx context.Context, timeout time.Duration) error {
	// The handle (a pidfd) refers to the process, not to its pid. The identity is
	// checked after the handle was opened, so that it cannot be another process.
	p, err := os.FindProcess(id.pid)
	if err != nil {
		return fmt.Errorf("find process %d: %w", id.pid, err)
	}
	defer func() { _ = p.Release() }()
	if !id.isAlive() {
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("send %v to process %d: %w", sig, id.pid, err)
		}
		if id.waitExit(ctx, timeout) {
			return nil
		}
	}
	return fmt.Errorf("process %d did not exit", id.pid)
}

// waitExit waits at most timeout for the exit of the process, and reports whether it
// has exited.
func (id identity) waitExit(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	check := time.NewTicker(10 * time.Millisecond)
	defer check.Stop()
	for id.isAlive() {
		select {
		case <-ctx.Done():
			return false
		case <-check.C:
		}
	}
	return true
}

// identifyProcess returns the process that has the pid now.
func identifyProcess(pid int) (id identity, zombie bool, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return identity{}, false, fmt.Errorf("identify process: %w", err)
	}
	start, zombie, err := parseStat(stat)
	if err != nil {
		return identity{}, false, fmt.Errorf("identify process %d: %w", pid, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, false, fmt.Errorf("identify process: %w", err)
	}
	return identity{pid: pid, start: start, boot: strings.TrimSpace(string(boot))}, zombie, nil
}

// parseStat returns the start time in /proc/PID/stat (proc(5)) and reports
// whether the process has exited or is exiting. The second field is the
// program's name in parentheses and may itself hold blanks and parentheses, so
// fields are counted from the last one.
func parseStat(b []byte) (start uint64, zombie bool, err error) {
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	const state, flags, startTime = 0, 6, 19 // fields 3, 9 and 22 of the whole line
	if i < 0 || len(fields) <= startTime {
		return 0, false, errors.New("stat is too short")
	}
	if _, err := fmt.Sscan(fields[startTime], &start); err != nil {
		return 0, false, fmt.Errorf("start time %q: %w", fields[startTime], err)
	}
	var flag uint64
	if _, err := fmt.Sscan(fields[flags], &flag); err != nil {
		return 0, false, fmt.Errorf("flags %q: %w", fields[flags], err)
	}
	return start, fields[state] == "Z" || fields[state] == "X" || flag&exiting != 0, nil
}

// exiting is the kernel's PF_EXITING: the process has begun to exit. It closes
// its files, and with them the start lock, before it becomes a zombie.
const exiting = 0x4
