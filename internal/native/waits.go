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

// lockWaits holds the waits in progress. The zero value is ready to use.
type lockWaits struct {
	mu    sync.Mutex
	waits []*lockWait
}

// startWait adds a wait until end is called. It logs the wait now, and again when
// it lasts.
func (n *nameLocks) startWait(name, use string) (end func()) {
	w, wait := &n.waits, &lockWait{name, use, time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = append(w.waits, wait)
	log := func(level logrus.Level) {
		n.log.WithFields(logrus.Fields{"plugin": name, "for": use, "holders": lock.Holders(layout.NameLock(n.root, name))}).
			Log(level, "Waiting for another program to release the plugin's lock")
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

// longWaits returns the waits that are a problem, with the processes that hold the
// locks.
func (n *nameLocks) longWaits(now time.Time) (problems []plugin.Problem) {
	n.waits.mu.Lock()
	defer n.waits.mu.Unlock()
	for _, w := range n.waits.waits {
		if now.Sub(w.since) < longWait {
			continue
		}
		path := layout.NameLock(n.root, w.name)
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
