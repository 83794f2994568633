package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pause"
)

// findDaemons returns the running daemons of a root, by plugin. A daemon that got a
// signal and has not exited yet is among them.
func findDaemons(root string) map[string][]int { return findProcesses(root, "daemon") }

// findProcesses returns the running processes of a root that were started with one
// of these words, by plugin.
func findProcesses(root string, words ...string) map[string][]int {
	found := map[string][]int{}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		cmdline, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		args := strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
		if err != nil || !slices.Contains(words, args[len(args)-1]) {
			continue
		}
		exe, err := os.Readlink(filepath.Join(proc, "exe"))
		inside, ours := strings.CutPrefix(exe, layout.Plugins(root)+"/")
		if err != nil || !ours {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(proc, "stat"))
		if _, state, _ := strings.Cut(string(stat), ") "); err != nil || state == "" || strings.ContainsAny(state[:1], "ZX") {
			continue
		}
		name, _, _ := strings.Cut(inside, "/")
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil {
			found[name] = append(found[name], pid)
		}
	}
	return found
}

// countCopies counts copies: the same two daemons of one plugin in two successive
// checks. A killed daemon takes a moment to exit.
func countCopies(ctx context.Context, root string, t *tally) {
	const every = 25 * time.Millisecond
	seen := map[string]string{}
	for {
		now := map[string]string{}
		for name, pids := range findDaemons(root) {
			if len(pids) < 2 {
				continue
			}
			now[name] = fmt.Sprint(pids)
			if seen[name] == now[name] {
				t.mustNot(copies, time.Now().Format("15:04:05.000 ")+name+" "+now[name])
			}
		}
		seen = now
		t.add("checks for copies", 1)
		if pause.Sleep(ctx, every) != nil {
			return
		}
	}
}

// hasRecordedStart reports whether a daemon has recorded its start as the last one.
func hasRecordedStart(root, name string, pid int) bool {
	b, err := os.ReadFile(filepath.Join(layout.Version(root, name, version), "births"))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return err == nil && strings.HasPrefix(lines[len(lines)-1], strconv.Itoa(pid)+" ")
}

// readStarts returns how many daemons of a plugin were started, and those that
// started while another one ran.
func readStarts(root, name string) (n int, copies []string, err error) {
	b, err := os.ReadFile(filepath.Join(layout.Version(root, name, version), "births"))
	if os.IsNotExist(err) {
		return 0, nil, nil
	}
	for line := range strings.Lines(string(b)) {
		n++
		if line = strings.TrimSpace(line); strings.HasSuffix(line, "copy") {
			copies = append(copies, line)
		}
	}
	return n, copies, err
}
