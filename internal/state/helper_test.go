package state

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/plugin"
)

// newTestLog returns a logger that keeps its entries.
func newTestLog() (*logrus.Logger, *logtest.Hook) { return logtest.NewNullLogger() }

func mustOpen(t testing.TB, path string) (*Store, plugin.Memory) {
	t.Helper()
	log, _ := newTestLog()
	s, m, err := Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, m
}

func mustSave(t testing.TB, s *Store, c plugin.Changes) {
	t.Helper()
	if err := s.Save(c); err != nil {
		t.Fatal(err)
	}
}

// openFoldingAt is Open with another foldAt.
func openFoldingAt(path string, log logrus.FieldLogger, foldAt int64) (*Store, plugin.Memory, error) {
	s := newStore(path, log)
	s.foldAt = foldAt
	return s.openStore()
}

// closeWithoutFold closes the files as a crash of the process does: it neither
// folds nor flushes.
func (s *Store) closeWithoutFold() {
	if s.stopWriter(stopAtOnce) == nil {
		<-s.done
	}
}

func statePath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "supervisor", "state.db")
}

// listAsides returns the files that were moved aside.
func listAsides(t testing.TB, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + ".*damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func wasLogged(hook *logtest.Hook, text string) bool {
	for _, e := range hook.AllEntries() {
		if strings.Contains(e.Message, text) {
			return true
		}
	}
	return false
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456789, time.UTC)

// sample returns changes with one of each kind.
func sample() plugin.Changes {
	return plugin.Changes{
		Settings: &plugin.Settings{
			LastCheck: noon, ServerIntervals: plugin.Intervals{Scan: time.Minute}, Lazy: true, PullAcked: true,
			PulledKeys: []string{"a", "b@1.0#7"},
		},
		Acked: map[string]*plugin.Acked{"a": {Version: "1.0", Status: plugin.StatusRunning}},
		Pending: map[string]*plugin.PendingReport{"a": {
			Name: "a", Version: "1.1", Status: plugin.StatusFailed, SysTag: plugin.SysTagAdd, Since: noon, ID: 3, Seq: 9,
		}},
		Events: map[uint64]*plugin.Event{18446744073709551615: {
			ID: plugin.EventUpdate, At: noon, Keywords: map[string]string{"name": "ä<\n>"},
		}},
		Restarts: map[string]*plugin.RestartRecord{"a": {Count: 5, Failures: 2, Last: plugin.Moment{Wall: noon}, Cause: "exit 3", Stopped: true}},
		Blocked: map[string]*plugin.Blocked{"a": {
			Name: "a", Version: "2.0", Package: "0f", Cause: "404", Tries: 3, Since: noon, Next: noon.Add(time.Hour),
		}},
	}
}

// applyChanges returns the memory after changes: the model of a Store.
func applyChanges(m plugin.Memory, c plugin.Changes) plugin.Memory {
	if c.Settings != nil {
		m.Settings = *c.Settings
	}
	m.Acked = mergeEntries(m.Acked, c.Acked)
	m.Pending = mergeEntries(m.Pending, c.Pending)
	m.Events = mergeEntries(m.Events, c.Events)
	m.Restarts = mergeEntries(m.Restarts, c.Restarts)
	m.Blocked = mergeEntries(m.Blocked, c.Blocked)
	return m
}

func mergeEntries[K comparable, V any](m map[K]V, c map[K]*V) map[K]V {
	r := map[K]V{}
	for k, v := range m {
		r[k] = v
	}
	for k, v := range c {
		if v == nil {
			delete(r, k)
		} else {
			r[k] = *v
		}
	}
	return r
}

var emptyMemory = applyChanges(plugin.Memory{}, plugin.Changes{})
