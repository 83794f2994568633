package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// processScan holds the processes with a PLUGIN_DIR that one scan has found, by plugin name.
type processScan struct {
	began   time.Time
	outside bool // includes processes that other programs have started
	found   map[string][]stray
}

// stray is a process that is known only by its PLUGIN_DIR or its executable.
type stray struct {
	plugin.Process
	group        int
	byExecutable bool
}

// findStrays returns the live processes of a plugin that are found by their PLUGIN_DIR or, if another
// program may have started them, by their executable. Running commands and their groups are left
// out. One scan serves all plugins that are asked about before it begins: at is the time of the
// call. mu must be held.
func (t *Tracker) findStrays(tr *tracked, at time.Time) (live []plugin.Process) {
	if t.lastScan.began.Before(at) || tr.outside && !t.lastScan.outside {
		t.lastScan = t.scanProcesses(tr.outside)
	}
	var asked []int
	if t.tree != nil && tr.probes != nil && len(t.lastScan.found[tr.name]) > 0 {
		asked, _ = tr.probes.Procs()
	}
	for _, s := range t.lastScan.found[tr.name] {
		if t.isCommand(s.PID) || t.isCommand(s.group) || slices.Contains(asked, s.PID) || s.byExecutable && !tr.outside {
			continue
		}
		if m, ok := t.members[s.PID]; ok && m.plugin != tr {
			continue
		}
		if slices.Contains(t.filterLive([]int{s.PID}), s.Process) {
			live = append(live, s.Process)
		}
	}
	return live
}

// scanProcesses scans processes for the plugin they belong to. With cgroups these are only the children
// that this process adopted, because they may have left their leaf. Without cgroups, and for
// processes of other programs, these are all processes. Watched processes and running commands are
// skipped.
func (t *Tracker) scanProcesses(outside bool) processScan {
	s := processScan{began: time.Now(), outside: outside, found: map[string][]stray{}}
	folders := []string{t.plugins}
	var pids []int
	if t.tree == nil || outside {
		pids, _ = procfs.PIDs()
	} else {
		pids = listChildren()
	}
	if outside { // the kernel shows executables without symbolic links
		if real, err := filepath.EvalSymlinks(t.plugins); err == nil && real != filepath.Clean(t.plugins) {
			folders = append(folders, real)
		}
	}
	sessions := map[int]string{}
	if t.tree == nil || outside {
		sessions = t.readSessions()
	}
	for _, pid := range pids {
		if t.isCommand(pid) || t.members[pid] != nil || pid == os.Getpid() {
			continue
		}
		name, byExecutable := pluginOf(pluginDir(pid), folders), false
		if name == "" && outside {
			name, byExecutable = pluginOf(executablePath(pid), folders), true
		}
		if name == "" && len(sessions) > 0 {
			if stat, err := procfs.ReadStat(pid); err == nil && stat.Live() && sessions[stat.Session] != "" {
				s.found[sessions[stat.Session]] = append(s.found[sessions[stat.Session]], stray{plugin.Process{PID: pid, StartTicks: stat.Born, BootID: t.boot}, stat.Group, false})
			}
			continue
		}
		if name == "" {
			continue
		}
		// The plugin was read before, and the process is still alive: both belong to the same
		// process.
		stat, err := procfs.ReadStat(pid)
		if err != nil || !stat.Live() || !byExecutable && pluginOf(pluginDir(pid), folders) != name || isStatusProbe(pid) {
			continue
		}
		s.found[name] = append(s.found[name], stray{plugin.Process{PID: pid, StartTicks: stat.Born, BootID: t.boot}, stat.Group, byExecutable})
	}
	return s
}

// readRunsTimeout bounds the reading of run records, as a plugin may be on a file system that does
// not answer.
const readRunsTimeout = 200 * time.Millisecond

// readSessions returns the plugins of the sessions that plugin-shim has started. Programs such as
// redis and nginx overwrite their environment, and are not known by their PLUGIN_DIR.
func (t *Tracker) readSessions() map[int]string {
	sessions, _ := bounded.Run(&t.hung, "run records", readRunsTimeout, func() map[int]string {
		found := map[int]string{}
		records, _ := filepath.Glob(layout.Run(filepath.Join(t.plugins, "*", "*")))
		for _, path := range records {
			dir := filepath.Dir(filepath.Dir(path))
			run, err := service.ReadRun(dir)
			if err != nil || run.BootID != t.boot {
				continue
			}
			// The pid is not reused while a process of the session lives.
			if stat, err := procfs.ReadStat(run.PID); err == nil && stat.Born != run.StartTicks {
				continue
			}
			found[run.PID] = pluginOf(dir, []string{t.plugins})
		}
		return found
	}, nil)
	return sessions
}

// pluginOf returns the name of the plugin whose folder the path is in, "" if there is none.
func pluginOf(path string, folders []string) string {
	for _, folder := range folders {
		if below, ok := strings.CutPrefix(path, filepath.Clean(folder)+string(filepath.Separator)); ok {
			name, _, _ := strings.Cut(below, string(filepath.Separator))
			return name
		}
	}
	return ""
}

// executablePath returns the path of the executable of a process. It is "" if the path is not known, or
// is another file here, as for a process in a container.
func executablePath(pid int) string {
	link := fmt.Sprintf("/proc/%d/exe", pid)
	path, err := os.Readlink(link)
	if err != nil {
		return ""
	}
	executed, err := os.Stat(link)
	if err != nil {
		return ""
	}
	if here, err := os.Stat(path); err != nil || !os.SameFile(executed, here) {
		return ""
	}
	return path
}
