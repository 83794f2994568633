package actorstest

import (
	"context"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// OtherPrograms holds what other programs do in a World. It is the port
// OtherPrograms of that World.
type OtherPrograms struct {
	*World
	Works          map[string]bool      // plugins whose name lock another program holds
	Released       map[string]time.Time // when another program last released a plugin's name lock
	LockFollower   func(name string)    // nil: the actors do not follow name locks
	RecordFollower func()               // nil: the actors do not follow the plugin database
}

// WithOtherPrograms makes other programs work on the host, and returns them.
func (w *World) WithOtherPrograms() *OtherPrograms {
	w.Others = &OtherPrograms{World: w, Works: map[string]bool{}, Released: map[string]time.Time{}}
	return w.Others
}

// WorkOn reports whether another program works on a plugin, or did within that time as
// Released says.
func (o *OtherPrograms) WorkOn(name string, within time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	released, was := o.Released[name]
	return o.Works[name] || was && time.Since(released) < within
}

// FollowLocks reports the name locks that WorkFor frees.
func (o *OtherPrograms) FollowLocks(ctx context.Context, freed func(string)) error {
	o.Set(func() { o.LockFollower = freed })
	<-ctx.Done()
	return nil
}

// FollowRecords reports the changes that ChangeRecords makes.
func (o *OtherPrograms) FollowRecords(ctx context.Context, changed func()) error {
	o.Set(func() { o.RecordFollower = changed })
	<-ctx.Done()
	return nil
}

// WorkFor makes another program stop a plugin and hold its name lock for d; do is
// what it does last. WorkFor returns a second after the lock was freed.
func (o *OtherPrograms) WorkFor(name string, d time.Duration, do func()) {
	o.Set(func() { o.Works[name] = true })
	o.ExitPlugins(plugin.Exit{CauseKnown: true, PID: 1001}, name)
	Advance(d)
	o.Set(func() {
		do()
		o.Works[name] = false
	})
	o.LockFollower(name)
	Advance(time.Second)
}

// ChangeRecords makes another program change the plugin database.
func (o *OtherPrograms) ChangeRecords(change func()) {
	o.Set(change)
	o.RecordFollower()
}

// DeletePlugin removes a plugin from the database. It is called in do of WorkFor,
// and in change of ChangeRecords.
func (o *OtherPrograms) DeletePlugin(name string) {
	o.Plugins = slices.DeleteFunc(o.Plugins, func(p plugin.Plugin) bool { return p.Name == name })
	o.Running[name] = false
}
