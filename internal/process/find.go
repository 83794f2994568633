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
	Executable string // without symbolic links; if it was deleted, its former path
}

// FindExecuting returns the processes whose executable has that file name. It skips processes whose
// executable this process may not see.
func FindExecuting(name string) ([]Found, error) {
	pids, err := procfs.PIDs()
	if err != nil {
		return nil, err
	}
	var all []Found
	for _, pid := range pids {
		path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil { // a kernel thread, another user's process, or exited
			continue
		}
		path = strings.TrimSuffix(path, " (deleted)") // an agent replaces its executable when it is updated
		if filepath.Base(path) != name {
			continue
		}
		if s, err := procfs.ReadStat(pid); err == nil && s.Live() {
			all = append(all, Found{pid, path})
		}
	}
	return all, nil
}

// OpenFiles returns the paths of the open files of a process and its working directory. It skips
// those that this process may not see.
func OpenFiles(pid int) (paths []string) {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range append(links, fmt.Sprintf("/proc/%d/cwd", pid)) {
		if path, err := os.Readlink(link); err == nil && filepath.IsAbs(path) {
			paths = append(paths, path)
		}
	}
	return paths
}
