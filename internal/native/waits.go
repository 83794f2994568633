package native

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// longWait is after how long a wait for a name lock is a problem (RS-11).
const longWait = time.Minute

// lockWait is the wait of one start, stop or change for a name lock.
type lockWait struct {
	name, use string
	since     time.Time
}

// lockWaits are the waits under way. The zero value is ready to use.
type lockWaits struct {
	mu    sync.Mutex
	waits []*lockWait
}

// start notes a wait until end is called, and logs it now and when it lasts.
func (w *lockWaits) start(m *Manager, name, use string) (end func()) {
	wait := &lockWait{name, use, time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = append(w.waits, wait)
	log := func(level logrus.Level) {
		m.log.WithFields(logrus.Fields{"plugin": name, "for": use, "holders": lock.Holders(layout.NameLock(m.root, name))}).
			Log(level, "Waiting for another program to let go of the plugin")
	}
	log(logrus.InfoLevel)
	again := time.AfterFunc(longWait, func() { log(logrus.WarnLevel) })
	return func() {
		again.Stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waits = slices.DeleteFunc(w.waits, func(other *lockWait) bool { return other == wait })
	}
}

// Problems returns what an operator may have to do something about: folders that
// could not be removed, and name locks that are waited for since long.
func (m *Manager) Problems() []plugin.Problem {
	return append(m.listUndeleted(), m.longWaits(time.Now())...)
}

// longWaits returns the waits that are a problem, with the processes that are
// waited for.
func (m *Manager) longWaits(now time.Time) (problems []plugin.Problem) {
	m.waits.mu.Lock()
	defer m.waits.mu.Unlock()
	for _, w := range m.waits.waits {
		if now.Sub(w.since) < longWait {
			continue
		}
		path := layout.NameLock(m.root, w.name)
		holder := "another program"
		if pids := lock.Holders(path); len(pids) > 0 {
			holder = "pid " + strings.Trim(fmt.Sprint(pids), "[]")
		}
		problems = append(problems, plugin.Problem{
			What: "name lock", Since: w.since,
			Why: fmt.Sprintf("%s of %s waits for %s, which holds %s", strings.TrimPrefix(w.use, "--"), w.name, holder, path),
		})
	}
	return problems
}
