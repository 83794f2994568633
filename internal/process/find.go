package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pluginsupervisor/internal/procfs"
)

// Found is a process that was found by its executable.
type Found struct {
	PID        int
	Executable string // without symbolic links; where it was deleted, as it was
}

// FindExecuting returns the processes whose executable has that file name, as
// far as this process may see their executables.
func FindExecuting(name string) ([]Found, error) {
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	var all []Found
	for _, pid := range pids {
		path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil { // a kernel thread, another user's, or gone
			continue
		}
		path = strings.TrimSuffix(path, " (deleted)") // an agent replaces itself when it is updated
		if filepath.Base(path) != name {
			continue
		}
		if s, err := procfs.ReadStat(pid); err == nil && s.Live() {
			all = append(all, Found{pid, path})
		}
	}
	return all, nil
}

// OpenFiles returns the paths that a process has open, and its working
// directory, as far as this process may see them.
func OpenFiles(pid int) (paths []string) {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range append(links, fmt.Sprintf("/proc/%d/cwd", pid)) {
		if path, err := os.Readlink(link); err == nil && filepath.IsAbs(path) {
			paths = append(paths, path)
		}
	}
	return paths
}
