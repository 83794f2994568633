package cgroup

import (
	"os"
	"path/filepath"

	"pluginsupervisor/plugin"
)

// recreate removes and makes an empty leaf again before the first fork into it.
// Its cgroup.kill may have been used before, by an earlier supervisor process, a
// service manager or an operator, and then it kills every process forked into it
// (see Kill). A leaf that cannot be recreated is used as it is, and the next fork
// tries again.
func (t *Tree) recreate(l *Leaf) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh[*l] {
		return
	}
	if populated, err := l.Populated(); populated || err != nil {
		return
	}
	limits := l.currentSettings()
	err := removeTree(l.Dir())
	if err == nil {
		err = os.MkdirAll(l.Dir(), 0o755)
	}
	if err == nil {
		err = applySettings(l.Dir(), limits)
	}
	if err != nil {
		t.log.WithError(err).WithField("plugin", l.name).Warn("Cannot recreate cgroup of plugin")
		return
	}
	t.fresh[*l] = true
}

// markStale makes the next fork recreate the leaf.
func (t *Tree) markStale(l *Leaf) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.fresh, *l)
}

// currentSettings returns the limits of the leaf in v2.
func (l *Leaf) currentSettings() []setting {
	var found []setting
	for _, b := range controllerLimits(plugin.Limits{}) {
		for _, s := range b.v2 {
			if v, err := os.ReadFile(filepath.Join(l.Dir(), s.file)); err == nil {
				found = append(found, setting{s.file, string(v)})
			}
		}
	}
	return found
}
