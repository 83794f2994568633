package demo

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pluginsupervisor/internal/layout"
)

// daemon is a process that runs a program of the demo's root.
type daemon struct {
	pid     int
	program string // path below the root
}

// listDaemons lists the processes whose program lies below root: the kernel's own
// word on what runs, whoever started it and whatever its pid file says.
func listDaemons(root string) ([]daemon, error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []daemon
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if err != nil {
			continue // gone, a zombie, or somebody else's
		}
		below, ok := strings.CutPrefix(strings.TrimSuffix(exe, " (deleted)"), root+"/")
		if ok {
			found = append(found, daemon{pid, below})
		}
	}
	return found, nil
}

// findOnlyPID is the pid of the one process of that version of a plugin that is a
// daemon, and 0 if there is none or more than one.
func findOnlyPID(all []daemon, name, version string) int {
	program := filepath.Join(layout.Version("", name, version), name)
	mine := slices.DeleteFunc(slices.Clone(all), func(d daemon) bool { return d.program != program || isVerb(d.pid) })
	if len(mine) != 1 {
		return 0
	}
	return mine[0].pid
}

// isVerb tells a `--status` that happens to run from the daemon itself.
func isVerb(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err != nil || !strings.Contains(string(b), "\x00--daemon")
}
