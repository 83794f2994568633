package cgroup

import (
	"os"
	"path/filepath"

	"pluginsupervisor/plugin"
)

// renew makes an empty leaf anew before the first fork into it, as it may be
// one that kills whatever is forked into it (see Kill): an earlier life of the
// supervisor, a service manager or an operator may have used its cgroup.kill.
// A leaf that cannot be made anew is used as it is, and the next time tried
// again.
func (t *Tree) renew(l *Leaf) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fresh[*l] {
		return
	}
	if populated, err := l.Populated(); populated || err != nil {
		return
	}
	limits := l.settings()
	err := remove(l.Dir())
	if err == nil {
		err = os.MkdirAll(l.Dir(), 0o755)
	}
	if err == nil {
		err = apply(l.Dir(), limits)
	}
	if err != nil {
		t.log.WithError(err).WithField("plugin", l.name).Warn("Cgroup of plugin cannot be made anew")
		return
	}
	t.fresh[*l] = true
}

// stale has the leaf made anew before the next fork into it.
func (t *Tree) stale(l *Leaf) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.fresh, *l)
}

// settings are the limits that v2 has for the leaf.
func (l *Leaf) settings() []setting {
	var found []setting
	for _, b := range bounds(plugin.Limits{}) {
		for _, s := range b.v2 {
			if v, err := os.ReadFile(filepath.Join(l.Dir(), s.file)); err == nil {
				found = append(found, setting{s.file, string(v)})
			}
		}
	}
	return found
}
