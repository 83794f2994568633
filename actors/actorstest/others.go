package actorstest

import (
	"context"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// OtherPrograms is what other programs do in a World. It is the World's port Others.
type OtherPrograms struct {
	*World
	works   map[string]bool // plugins whose name lock they hold
	freed   func(name string)
	changed func()
}

// WithOthers makes other programs work on the host, and returns them.
func (w *World) WithOthers() *OtherPrograms {
	w.OtherPrograms = &OtherPrograms{World: w, works: map[string]bool{}}
	return w.OtherPrograms
}

// WorkOn reports whether another program works on a plugin.
func (o *OtherPrograms) WorkOn(name string, _ time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.works[name]
}

// FollowLocks reports the name locks that WorkFor frees.
func (o *OtherPrograms) FollowLocks(ctx context.Context, freed func(string)) error {
	o.Set(func() { o.freed = freed })
	<-ctx.Done()
	return nil
}

// FollowRecords reports the changes that Record makes.
func (o *OtherPrograms) FollowRecords(ctx context.Context, changed func()) error {
	o.Set(func() { o.changed = changed })
	<-ctx.Done()
	return nil
}

// WorkFor makes another program stop a plugin and work on it for a while; do is
// what it does last.
func (o *OtherPrograms) WorkFor(name string, d time.Duration, do func()) {
	o.Set(func() { o.works[name] = true })
	o.Exit(plugin.Exit{Known: true}, name)
	Advance(d)
	o.Set(func() {
		do()
		o.works[name] = false
	})
	o.freed(name)
	Advance(time.Second)
}

// Record makes another program change the plugin database.
func (o *OtherPrograms) Record(change func()) {
	o.Set(change)
	o.changed()
}

// Delete removes a plugin from the database. It is for do and change.
func (o *OtherPrograms) Delete(name string) {
	o.Plugins = slices.DeleteFunc(o.Plugins, func(p plugin.Plugin) bool { return p.Name == name })
	o.Running[name] = false
}

