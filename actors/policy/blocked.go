package policy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// maxBlocked is the longest time between two tries of a version that could not
// be taken (UP-14).
const maxBlocked = 24 * time.Hour

// Blocked holds the versions that the control plane assigned and whose packages
// could not be taken, by plugin (UP-14). A later try is made at the next check,
// and then after twice as long each time.
type Blocked struct {
	byPlugin map[string]plugin.Blocked
	batch    *Batch
}

// NewBlocked returns what an earlier process left.
func NewBlocked(m plugin.Memory, batch *Batch) *Blocked {
	b := &Blocked{byPlugin: map[string]plugin.Blocked{}, batch: batch}
	maps.Copy(b.byPlugin, m.Blocked)
	return b
}

// List returns them all, sorted by name.
func (b *Blocked) List() []plugin.Blocked {
	return slices.SortedFunc(maps.Values(b.byPlugin), func(x, y plugin.Blocked) int { return cmp.Compare(x.Name, y.Name) })
}

// AvoidedPackage returns the ID of the package that must not be fetched for a change now,
// "" if any may. An operator's command overrides it. A next try that is further
// away than it can be comes of a clock that was set, and holds no more.
func (b *Blocked) AvoidedPackage(c plugin.Change, now time.Time) string {
	known, ok := b.find(c)
	if !ok || c.ByOperator() || !now.Before(known.Next) || known.Next.Sub(now) > maxBlocked {
		return ""
	}
	return known.Package
}

// AddFailure notes why a change could not be fetched. every is how often the control
// plane is asked for updates. It reports whether the package was only not tried
// again yet, with what is known of it.
func (b *Blocked) AddFailure(c plugin.Change, why error, every time.Duration, now time.Time) (known plugin.Blocked, avoided bool) {
	var failed *plugin.PackageError
	switch {
	case errors.Is(why, plugin.ErrAvoided):
		return b.find(c)
	case errors.As(why, &failed):
		b.addTry(c, failed.Package, why, every, now)
	case errors.As(why, new(plugin.QuarantinedVersion)), errors.Is(why, context.Canceled): // the one is in quarantine, the other not wanted
	default:
		b.addTry(c, "", why, every, now)
	}
	return plugin.Blocked{}, false
}

// RecordResult notes how a change ended that had been fetched. It forgets a version
// that is on the host now, or whose plugin is removed. A package that could not
// be put in place would be fetched again: it is blocked like others. A version
// that was tried and rolled back is in quarantine instead.
func (b *Blocked) RecordResult(c plugin.Change, done plugin.ChangeResult, every time.Duration, now time.Time) {
	switch known, ok := b.byPlugin[c.Name]; {
	case done.Err == nil:
		if ok && (known.Version == c.Version || c.Kind == plugin.ChangeRemove) {
			b.remove(c.Name)
		}
	case done.RolledBack, errors.Is(done.Err, plugin.ErrInterrupted), errors.Is(done.Err, context.Canceled):
	default:
		b.addTry(c, done.Package, done.Err, every, now)
	}
}

// KeepAssigned forgets the versions that the control plane does not assign any more.
func (b *Blocked) KeepAssigned(changes []plugin.Change) {
	for name, known := range b.byPlugin {
		if !slices.ContainsFunc(changes, func(c plugin.Change) bool { return c.Name == name && c.Version == known.Version }) {
			b.remove(name)
		}
	}
}

// find returns what is known of the version that a change is about.
func (b *Blocked) find(c plugin.Change) (plugin.Blocked, bool) {
	known, ok := b.byPlugin[c.Name]
	return known, ok && known.Version == c.Version
}

// addTry notes that a package that the control plane assigned could not be taken.
// If it is not for the package, "", the next check tries it again.
func (b *Blocked) addTry(c plugin.Change, pkg string, why error, every time.Duration, now time.Time) {
	if c.Origin != plugin.FromControlPlane {
		return
	}
	known, ok := b.find(c)
	if !ok || known.Package != pkg {
		known = plugin.Blocked{Name: c.Name, Version: c.Version, Package: pkg, Since: now}
	}
	known.Tries++
	known.Cause, known.Next = why.Error(), now
	if pkg != "" {
		known.Next = now.Add(blockedTime(known.Tries, every))
	}
	b.byPlugin[c.Name] = known
	b.batch.setBlocked(c.Name, &known)
}

func (b *Blocked) remove(name string) {
	delete(b.byPlugin, name)
	b.batch.setBlocked(name, nil)
}

// blockedTime returns how long a version is not tried again after so many tries
// that failed: until the next check, then until the second one, the fourth, …,
// at most a day. The half of a period makes sure that it is that check, which may
// come a little earlier than a whole number of periods later.
func blockedTime(tries int, every time.Duration) time.Duration {
	if tries <= 1 {
		return 0
	}
	wait := every
	for n := 1; n < tries && wait < maxBlocked; n++ {
		wait *= 2
	}
	return max(0, min(wait, maxBlocked)-every/2)
}
