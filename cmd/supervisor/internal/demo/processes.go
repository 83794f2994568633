package demo

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pluginsupervisor/internal/layout"
)

// daemon is a process that runs a program below the root of the demo.
type daemon struct {
	pid     int
	program string // path below the root
}

// listDaemons returns the processes whose program is below root, as the kernel reports
// them, independent of pid files and parents.
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
			continue // exited, a zombie, or of another user
		}
		below, ok := strings.CutPrefix(strings.TrimSuffix(exe, " (deleted)"), root+"/")
		if ok {
			found = append(found, daemon{pid, below})
		}
	}
	return found, nil
}

// findOnlyPID returns the pid of the only daemon of a plugin's version, 0 if there is
// none or more than one.
func findOnlyPID(all []daemon, name, version string) int {
	program := filepath.Join(layout.Version("", name, version), name)
	mine := slices.DeleteFunc(slices.Clone(all), func(d daemon) bool { return d.program != program || isVerb(d.pid) })
	if len(mine) != 1 {
		return 0
	}
	return mine[0].pid
}

// isVerb reports whether the process is not a daemon but a verb such as `--status`.
func isVerb(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err != nil || !strings.Contains(string(b), "\x00--daemon")
}
