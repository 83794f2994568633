package native

import (
	"context"
	"errors"
	"sync"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

const (
	// maxExclusive is how long a start or a stop may hold the name lock
	// exclusively. After that it goes on under the shared lock, so that a `--start`
	// which does not return keeps no other program out (RS-11).
	maxExclusive = 5 * time.Second
	// undoLockTimeout is how long the undoing of a change waits for the exclusive lock
	// before it goes on under the shared one.
	undoLockTimeout = 5 * time.Second
	// defaultQuietPeriod is how long a start waits after another program has let go of the
	// lock: a `--stop` by the existing command line may be followed by its
	// `--start`, which takes the lock anew.
	defaultQuietPeriod = 2500 * time.Millisecond
	// maxRechecks bounds how often a start begins anew because the lock was shared
	// while it asked `--status`.
	maxRechecks = 3
)

// nameLock is a plugin's name lock in the hands of one start, stop or change.
type nameLock struct {
	m         *Manager
	name, use string

	mu        sync.Mutex
	held      *lock.Held // nil: nothing is held
	exclusive bool
	sharing   *time.Timer // nil: it stays exclusive until share is called
}

// takeLock takes the name lock exclusively, once no other program holds it in
// any mode (RS-11). use says what for. waited reports whether it had to wait.
func (m *Manager) takeLock(ctx context.Context, name, use string) (l *nameLock, waited bool, err error) {
	if err := plugin.CheckName(name); err != nil {
		return nil, false, err
	}
	l = &nameLock{m: m, name: name, use: use}
	waited, err = l.acquire(ctx, true)
	return l, waited, err
}

// acquire takes the lock. Where its file cannot be made the plugin's folder stands in
// (EV-28). Nothing may be held.
func (l *nameLock) acquire(ctx context.Context, exclusive bool) (waited bool, err error) {
	end := func() {}
	held, waited, err := lock.Take(ctx, layout.NameLock(l.m.root, l.name), layout.Plugin(l.m.root, l.name), exclusive, lock.Hooks{
		Opening: func() {
			if l.m.openingLock != nil {
				l.m.openingLock(l.name)
			}
		},
		Waiting: func() { end = l.m.waits.start(l.m, l.name, l.use) },
	})
	end()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.exclusive = held, exclusive && err == nil
	return waited, err
}

// share turns the exclusive lock into a shared one, and waits until it is. Another
// program may have had the lock in between.
func (l *nameLock) share(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil || !l.exclusive {
		return
	}
	l.exclusive = false
	for pauses := pause.NewDoubling(firstPause, lastPause); l.held.Share() != nil && pauses.Sleep(ctx) == nil; {
	}
}

// scheduleShare shares the lock after exclusiveFor, unless it was released before.
func (l *nameLock) scheduleShare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held
	l.sharing = time.AfterFunc(maxExclusive, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held == held && l.exclusive {
			l.exclusive = false
			_ = held.Share() // where that fails nothing is held: no second time would be sooner
		}
	})
}

// reacquire takes the exclusive lock again where it was shared, by the rules of
// takeLock. The caller looks at the plugin again: another program may have worked
// on it.
func (l *nameLock) reacquire(ctx context.Context) error {
	if l.isExclusive() {
		return nil
	}
	l.release()
	_, err := l.acquire(ctx, true)
	return err
}

// reacquireToUndo is regain that goes on under the shared lock after undoWithin.
func (l *nameLock) reacquireToUndo(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, undoLockTimeout)
	defer cancel()
	if l.reacquire(limited) == nil || ctx.Err() != nil {
		return
	}
	l.m.log.WithField("plugin", l.name).Warn("Another program holds the name lock, the change is undone all the same")
	limited, cancel = context.WithTimeout(ctx, undoLockTimeout)
	defer cancel()
	_, _ = l.acquire(limited, false)
}

// isExclusive reports whether the lock is held exclusively. A nil lock is that of
// a start that goes on without (see ForceStart).
func (l *nameLock) isExclusive() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exclusive
}

// release lets go of the lock. It may be called more than once.
func (l *nameLock) release() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sharing != nil {
		l.sharing.Stop()
	}
	if l.held != nil {
		l.held.Release()
	}
	l.held, l.exclusive = nil, false
}

// withNameLock does work on the plugin as it is recorded then, under its name lock:
// exclusively for exclusiveFor, then shared. touched: another program may have
// worked on the plugin since the caller looked.
func (m *Manager) withNameLock(
	ctx context.Context, p plugin.Plugin, v plugin.Verb, work func(l *nameLock, p plugin.Plugin, touched bool) plugin.Outcome,
) plugin.Outcome {
	l, touched, err := m.takeLock(ctx, p.Name, string(v))
	if err == nil && touched && v == plugin.VerbStart {
		l.release()
		if err = pause.Sleep(ctx, m.quietPeriod); err == nil {
			_, err = l.acquire(ctx, true)
		}
	}
	if err != nil {
		return failedOutcome(v, err)
	}
	defer l.release()
	if left, found := m.finishPending(ctx, p.Name, &interrupt{}, l); found {
		if ctx.Err() != nil {
			return failedOutcome(v, left.Err)
		}
		touched = true
		if err := l.reacquire(ctx); err != nil {
			return failedOutcome(v, err)
		}
	}
	l.scheduleShare()
	current, err := m.findRecorded(ctx, p)
	if err != nil {
		return failedOutcome(v, err)
	}
	return work(l, current, touched || current.Version != p.Version)
}

// findRecorded is the plugin as it is in the database now. A duplicate has no
// record that can be found by its name, and is taken as given.
func (m *Manager) findRecorded(ctx context.Context, p plugin.Plugin) (plugin.Plugin, error) {
	if p.Duplicate {
		return p, nil
	}
	record, found, err := m.registry.Find(ctx, p.Name)
	switch {
	case err != nil:
		return p, err
	case !found:
		return p, plugin.ErrNotInstalled
	}
	return record.Plugin(), nil
}

// lockForChange takes the plugin's name lock exclusively. An interruption ends the
// wait for it, unless there is something to finish or undo.
func (m *Manager) lockForChange(ctx context.Context, g permittedChange) (l *nameLock, err error) {
	if g.Kind == plugin.ChangeResume {
		l, _, err = m.takeLock(ctx, g.Name, g.Change.String())
		return l, err
	}
	waiting, stop := g.interrupt.newContext(ctx)
	l, _, err = m.takeLock(waiting, g.Name, g.Change.String())
	stop()
	if err != nil && ctx.Err() == nil && g.interrupt.isReceived() {
		err = plugin.ErrInterrupted
	}
	return l, err
}

// errSuperseded is the cause when another program has removed the plugin, or has
// recorded another version of it, during a change.
var errSuperseded = errors.New("another program has changed the plugin meanwhile")
