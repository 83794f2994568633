package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// survey holds what one pass over the processes has found of the plugins: those
// that were given a plugin's PLUGIN_DIR, by the plugin's name.
type survey struct {
	began   time.Time
	outside bool // it was looked for what other programs have started, too
	found   map[string][]stray
}

// stray is a process that is known by its PLUGIN_DIR or its executable only.
type stray struct {
	plugin.Process
	group        int
	byExecutable bool
}

// strays finds what lives of a plugin by the PLUGIN_DIR that it was given, and
// where another program may have started it, by its executable. What runs as a
// command now, or in its group, is none. A pass over the processes serves all
// plugins that are asked about before it begins: at is when it was asked. Called
// with mu held.
func (t *Tracker) strays(tr *tracked, at time.Time) (live []plugin.Process) {
	if t.survey.began.Before(at) || tr.outside && !t.survey.outside {
		t.survey = t.passOver(tr.outside)
	}
	var asked []int
	if t.tree != nil && tr.probes != nil && len(t.survey.found[tr.name]) > 0 {
		asked, _ = tr.probes.Procs()
	}
	for _, s := range t.survey.found[tr.name] {
		if t.isCommand(s.PID) || t.isCommand(s.group) || slices.Contains(asked, s.PID) || s.byExecutable && !tr.outside {
			continue
		}
		if m, ok := t.members[s.PID]; ok && m.of != tr {
			continue
		}
		if slices.Contains(t.living([]int{s.PID}), s.Process) {
			live = append(live, s.Process)
		}
	}
	return live
}

// passOver reads of all processes which plugin they are of. With cgroups that
// are children we inherited, which may have left their leaf; without them, and
// from outside, all there are. Those that are watched or run as commands are
// known anyway.
func (t *Tracker) passOver(outside bool) survey {
	s := survey{began: time.Now(), outside: outside, found: map[string][]stray{}}
	folders := []string{t.plugins}
	var pids []int
	if t.tree == nil || outside {
		pids, _ = procfs.PIDs()
	} else {
		pids = children()
	}
	if outside { // the kernel shows executables without symbolic links
		if real, err := filepath.EvalSymlinks(t.plugins); err == nil && real != filepath.Clean(t.plugins) {
			folders = append(folders, real)
		}
	}
	for _, pid := range pids {
		if t.isCommand(pid) || t.members[pid] != nil || pid == os.Getpid() {
			continue
		}
		name, byExecutable := pluginOf(pluginDir(pid), folders), false
		if name == "" && outside {
			name, byExecutable = pluginOf(executable(pid), folders), true
		}
		if name == "" {
			continue
		}
		// Read after what it is of, and alive still: both are of one process.
		stat, err := procfs.ReadStat(pid)
		if err != nil || !stat.Live() || !byExecutable && pluginOf(pluginDir(pid), folders) != name || asks(pid) {
			continue
		}
		s.found[name] = append(s.found[name], stray{plugin.Process{PID: pid, Born: stat.Born, Boot: t.boot}, stat.Group, byExecutable})
	}
	return s
}

// pluginOf returns the name of the plugin that a path below one of the folders
// of plugins is of, "" if there is none.
func pluginOf(path string, folders []string) string {
	for _, folder := range folders {
		if below, ok := strings.CutPrefix(path, filepath.Clean(folder)+string(filepath.Separator)); ok {
			name, _, _ := strings.Cut(below, string(filepath.Separator))
			return name
		}
	}
	return ""
}

// executable returns the path of what a process executes, "" if that is not
// known, or is not the file of that path here: in a container the path is
// another's.
func executable(pid int) string {
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
