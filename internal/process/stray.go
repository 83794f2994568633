package process

import (
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
	began time.Time
	found map[string][]stray
}

// stray is a process that is known by its PLUGIN_DIR only.
type stray struct {
	plugin.Process
	group int
}

// strays finds what lives of a plugin by the PLUGIN_DIR that it was given. What
// runs as a command now, or in its group, is none. A pass over the processes
// serves all plugins that are asked about before it begins: at is when it was
// asked. Called with mu held.
func (t *Tracker) strays(tr *tracked, at time.Time) (live []plugin.Process) {
	if t.survey.began.Before(at) {
		t.survey = t.passOver()
	}
	var asked []int
	if t.tree != nil && tr.probes != nil && len(t.survey.found[tr.name]) > 0 {
		asked, _ = tr.probes.Procs()
	}
	for _, s := range t.survey.found[tr.name] {
		if t.isCommand(s.PID) || t.isCommand(s.group) || slices.Contains(asked, s.PID) {
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
// are children we inherited, which may have left their leaf, without them all
// there are. Those that are watched or run as commands are known anyway.
func (t *Tracker) passOver() survey {
	s := survey{began: time.Now(), found: map[string][]stray{}}
	pids := children()
	if t.tree == nil {
		pids, _ = procfs.PIDs()
	}
	for _, pid := range pids {
		if t.isCommand(pid) || t.members[pid] != nil || pid == os.Getpid() {
			continue
		}
		name := t.pluginOf(pid)
		if name == "" {
			continue
		}
		// Asked again after its start time: what is read is of one process.
		stat, err := procfs.ReadStat(pid)
		if err != nil || !stat.Live() || t.pluginOf(pid) != name || asks(pid) {
			continue
		}
		s.found[name] = append(s.found[name], stray{plugin.Process{PID: pid, Born: stat.Born, Boot: t.boot}, stat.Group})
	}
	return s
}

// pluginOf returns the name of the plugin that a process was started for, ""
// if there is none.
func (t *Tracker) pluginOf(pid int) string {
	below, ok := strings.CutPrefix(pluginDir(pid), filepath.Clean(t.plugins)+string(filepath.Separator))
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(below, string(filepath.Separator))
	return name
}
