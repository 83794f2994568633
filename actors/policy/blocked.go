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

// maxBlocked is the longest time between two tries of a version that could not be
// installed (UP-14).
const maxBlocked = 24 * time.Hour

// Blocked holds, by plugin, the assigned versions whose packages could not be
// installed (UP-14). They are retried at the next update check, and then after
// twice as long each time.
type Blocked struct {
	byPlugin map[string]plugin.Blocked
	batch    *Batch
}

// NewBlocked returns the blocked versions that an earlier process saved.
func NewBlocked(m plugin.Memory, batch *Batch) *Blocked {
	b := &Blocked{byPlugin: map[string]plugin.Blocked{}, batch: batch}
	maps.Copy(b.byPlugin, m.Blocked)
	return b
}

// List returns all blocked versions, sorted by name.
func (b *Blocked) List() []plugin.Blocked {
	return slices.SortedFunc(maps.Values(b.byPlugin), func(x, y plugin.Blocked) int { return cmp.Compare(x.Name, y.Name) })
}

// AvoidedPackage returns the ID of the package that must not be fetched for a
// change now, "" for none. An operator's command overrides it. A next try that is
// too far in the future is ignored: the clock was set.
func (b *Blocked) AvoidedPackage(c plugin.Change, now time.Time) string {
	known, ok := b.find(c)
	if !ok || c.ByOperator() || !now.Before(known.Next) || known.Next.Sub(now) > maxBlocked {
		return ""
	}
	return known.Package
}

// AddFailure adds a change that could not be fetched, with the error. every is the
// interval of the update checks. It reports whether the fetch was only avoided, and
// returns the blocked version then.
func (b *Blocked) AddFailure(c plugin.Change, why error, every time.Duration, now time.Time) (known plugin.Blocked, avoided bool) {
	var failed *plugin.PackageError
	switch {
	case errors.Is(why, plugin.ErrAvoided):
		return b.find(c)
	case errors.As(why, &failed):
		b.addTry(c, failed.Package, why, every, now)
	case errors.As(why, new(plugin.QuarantinedVersion)), errors.Is(why, context.Canceled): // in quarantine, or not wanted
	default:
		b.addTry(c, "", why, every, now)
	}
	return plugin.Blocked{}, false
}

// RecordResult records the result of a change that had been fetched. It removes a
// version that is installed now, or whose plugin is removed. A package that could
// not be put in place is blocked, or it would be fetched again at each check. A
// version that was tried and rolled back is in quarantine instead.
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

// KeepAssigned removes the versions that the control plane no longer assigns.
func (b *Blocked) KeepAssigned(changes []plugin.Change) {
	for name, known := range b.byPlugin {
		if !slices.ContainsFunc(changes, func(c plugin.Change) bool { return c.Name == name && c.Version == known.Version }) {
			b.remove(name)
		}
	}
}

// find returns the blocked version that a change is about.
func (b *Blocked) find(c plugin.Change) (plugin.Blocked, bool) {
	known, ok := b.byPlugin[c.Name]
	return known, ok && known.Version == c.Version
}

// addTry adds a failed try of a version that the control plane assigned. pkg is
// the ID of the package, "" if the package was not the cause: then the next check
// retries it.
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

// blockedTime returns how long a version is blocked after a number of failed
// tries: until the next check, then until the second one, the fourth, …, at most a
// day. Half a period is subtracted because a check may come a little earlier than a
// whole number of periods later.
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
