package contract

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

// identity names one process for all time: the kernel gives a pid again, but
// not with the same start time in the same boot.
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

// recorded is the process the pid file names, and whether it still lives.
func recorded(dir string) (id identity, alive bool) {
	b, err := os.ReadFile(pidFile(dir))
	if err != nil {
		return identity{}, false
	}
	if id, err = parseIdentity(string(b)); err != nil {
		return identity{}, false
	}
	return id, id.alive()
}

// alive reports whether this very process runs. One that exits does not, nor a
// zombie, which only waits to be collected.
func (id identity) alive() bool {
	now, zombie, err := identify(id.pid)
	return err == nil && now == id && !zombie
}

// end sends TERM, waits, and sends KILL to a process that does not listen. It
// returns when the process is gone.
func (id identity) end(ctx context.Context, patience time.Duration) error {
	// The handle is the process itself, not its number (a pidfd). Looked at
	// after it was opened, it cannot turn into somebody else's.
	p, err := os.FindProcess(id.pid)
	if err != nil {
		return fmt.Errorf("find process %d: %w", id.pid, err)
	}
	defer func() { _ = p.Release() }()
	if !id.alive() {
		return nil
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("send %v to process %d: %w", sig, id.pid, err)
		}
		if id.gone(ctx, patience) {
			return nil
		}
	}
	return fmt.Errorf("process %d did not end", id.pid)
}

// gone waits until the process is gone, at most for patience.
func (id identity) gone(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for id.alive() {
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
	return true
}

// identify asks the kernel who has the pid now.
func identify(pid int) (id identity, zombie bool, err error) {
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

// parseStat reads start time and state of /proc/PID/stat (proc(5)). The second
// field is the program's name in parentheses and may itself hold blanks and
// parentheses, so fields are counted from the last one.
func parseStat(b []byte) (start uint64, zombie bool, err error) {
	i := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[i+1:]))
	const state, flags, startTime = 0, 6, 19 // fields 3, 9 and 22 of the whole line
	if i < 0 || len(fields) <= startTime {
		return 0, false, errors.New("stat is cut short")
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

// exiting is the kernel's PF_EXITING: the process has begun to exit. It lets go
// of its files, and so of the start lock, before it becomes a zombie.
const exiting = 0x4
