package native

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/plugin"
)

const (
	// maxExclusive is how long a start or a stop may hold the name lock
	// exclusively. After that it goes on under the shared lock, so that a `--start`
	// that does not return blocks no other program (RS-11).
	maxExclusive = 5 * time.Second
	// undoLockTimeout is how long a rollback waits for the exclusive lock before it
	// goes on under the shared one.
	undoLockTimeout = 5 * time.Second
	// defaultQuietPeriod is how long a start waits after another program has released
	// the lock: the existing command line may follow a `--stop` with a `--start`,
	// under a new lock.
	defaultQuietPeriod = 2500 * time.Millisecond
	// maxRechecks bounds how often a start begins again because the lock was shared
	// while `--status` ran.
	maxRechecks = 3
)

// nameLocks takes the name locks of plugins.
type nameLocks struct {
	root    string            // BASE
	opening func(name string) // see Options.OpeningLock
	log     logrus.FieldLogger
	waits   lockWaits
}

// nameLock is a plugin's name lock for one start, stop or change.
type nameLock struct {
	locks     *nameLocks
	name, use string

	mu        sync.Mutex
	held      *lock.Held // nil: nothing is held
	exclusive bool
	sharing   *time.Timer // nil: it stays exclusive until share is called
}

// take takes the name lock exclusively, once no other program holds it in any
// mode (RS-11). use says what for. waited reports whether it had to wait.
func (n *nameLocks) take(ctx context.Context, name, use string) (l *nameLock, waited bool, err error) {
	if err := plugin.CheckName(name); err != nil {
		return nil, false, err
	}
	l = &nameLock{locks: n, name: name, use: use}
	waited, err = l.acquire(ctx, true)
	return l, waited, err
}

// acquire takes the lock, which must not be held. Where its file cannot be made, the
// plugin's folder is locked instead (EV-28).
func (l *nameLock) acquire(ctx context.Context, exclusive bool) (waited bool, err error) {
	end := func() {}
	held, waited, err := lock.Take(ctx, layout.NameLock(l.locks.root, l.name), layout.Plugin(l.locks.root, l.name), exclusive, lock.Hooks{
		Opening: func() {
			if l.locks.opening != nil {
				l.locks.opening(l.name)
			}
		},
		Waiting: func() { end = l.locks.startWait(l.name, l.use) },
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

// scheduleShare shares the lock after maxExclusive, unless it is released before.
func (l *nameLock) scheduleShare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held
	l.sharing = time.AfterFunc(maxExclusive, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held == held && l.exclusive {
			l.exclusive = false
			_ = held.Share() // if that fails the lock is lost: nothing to retry
		}
	})
}

// reacquire takes the exclusive lock again where it was shared, by the rules of
// take. The caller checks the plugin again: another program may have changed it.
func (l *nameLock) reacquire(ctx context.Context) error {
	if l.isExclusive() {
		return nil
	}
	l.release()
	_, err := l.acquire(ctx, true)
	return err
}

// reacquireToUndo is reacquire that goes on under the shared lock after
// undoLockTimeout.
func (l *nameLock) reacquireToUndo(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, undoLockTimeout)
	defer cancel()
	if l.reacquire(limited) == nil || ctx.Err() != nil {
		return
	}
	l.locks.log.WithField("plugin", l.name).Warn("Rolling back although another program holds the plugin's lock")
	limited, cancel = context.WithTimeout(ctx, undoLockTimeout)
	defer cancel()
	_, _ = l.acquire(limited, false)
}

// isExclusive reports whether the lock is held exclusively. A nil lock is that of
// a start without a lock (see ForceStart).
func (l *nameLock) isExclusive() bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exclusive
}

// release releases the lock. It may be called more than once.
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

// withNameLock calls do under the plugin's name lock, with the plugin as it is
// recorded then: exclusively for maxExclusive, then shared. changed reports that
// another program may have changed the plugin since the caller checked it.
func (m *Manager) withNameLock(
	ctx context.Context, p plugin.Plugin, v plugin.Verb, do func(l *nameLock, p plugin.Plugin, changed bool) plugin.Outcome,
) plugin.Outcome {
	l, changed, err := m.locks.take(ctx, p.Name, string(v))
	if err == nil && changed && v == plugin.VerbStart {
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
		changed = true
		if err := l.reacquire(ctx); err != nil {
			return failedOutcome(v, err)
		}
	}
	l.scheduleShare()
	current, err := m.findRecorded(ctx, p)
	if err != nil {
		return failedOutcome(v, err)
	}
	return do(l, current, changed || current.Version != p.Version)
}

// findRecorded returns the plugin as it is in the database now. A duplicate
// cannot be found there by its name, and is returned as given.
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
// wait, unless an earlier change is to be finished or undone.
func (m *Manager) lockForChange(ctx context.Context, c permittedChange) (l *nameLock, err error) {
	if c.Kind == plugin.ChangeResume {
		l, _, err = m.locks.take(ctx, c.Name, c.Change.String())
		return l, err
	}
	waiting, stop := c.interrupt.newContext(ctx)
	l, _, err = m.locks.take(waiting, c.Name, c.Change.String())
	stop()
	if err != nil && ctx.Err() == nil && c.interrupt.isReceived() {
		err = plugin.ErrInterrupted
	}
	return l, err
}

// errSuperseded is the cause when another program has removed the plugin, or has
// recorded another version of it, during a change.
var errSuperseded = errors.New("another program changed the plugin during the upgrade")
