package transaction

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/powerfail"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// storeContent is everything that a store holds about the plugin p.
type storeContent struct {
	step        Step // of its transaction
	quarantined bool
	sequence    uint64
	versions    string
}

// readContent returns the content. Anything damaged is an error.
func (s *Store) readContent() (k storeContent, err error) {
	t, _, err := s.Find("p")
	pending, failed := s.ListPending()
	k.step = t.Step
	if found := t.Step != ""; len(pending) > 1 || found != (len(pending) == 1) {
		failed = errors.Join(failed, fmt.Errorf("%d transactions are pending", len(pending)))
	}
	_, k.quarantined = s.FindQuarantined("p", "2.0", began, time.Hour)
	all, unread := s.ListQuarantined(began, time.Hour)
	if k.quarantined != (len(all) == 1) {
		unread = errors.Join(unread, fmt.Errorf("%d versions are in quarantine", len(all)))
	}
	var last error
	k.sequence, last = s.LastSequence(context.Background(), "p")
	k.versions = fmt.Sprint(s.History("p"))
	return k, errors.Join(err, failed, unread, last)
}

var began = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// UP-06, CL-10: each step of a change, a quarantine, a sequence and a history survive
// a power failure once they are saved. Before, they are the old or the new ones, also
// when they are the first of the root.
func TestPowerFailure(t *testing.T) {
	var after []storeContent // by the number of changes made
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		s := New(filepath.Join(f.Path, "root"), nil)
		read := func() {
			k, err := s.readContent()
			if err != nil {
				t.Fatal(err)
			}
			after = append(after, k)
		}
		f.Settle()
		read()
		change := Transaction{Name: "p", To: record.Record{Name: "p", Version: "2.0"}, Began: began}
		at := func(step Step) func() error {
			return func() error {
				change.Step = step
				return s.Save(change)
			}
		}
		accept := func(sequence uint64) func() error {
			return func() error { return s.SaveSequence(t.Context(), "p", sequence) }
		}
		for _, do := range []func() error{
			at(Prepared), at(Switching), at(Undoing), func() error { return s.Remove("p") },
			func() error {
				return s.Quarantine(plugin.QuarantinedVersion{Name: "p", Version: "2.0", Until: began.Add(time.Minute)})
			},
			at(Prepared), at(Committed), accept(7), accept(8),
			func() error { return s.LiftQuarantine("p", "2.0") },
			func() error { return s.SaveHistory("p", []string{"1.0"}) },
			func() error { return s.SaveHistory("p", []string{"1.0", "2.0"}) },
			func() error { return s.RemoveHistory("p") },
			func() error { return s.Remove("p") },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			f.Acknowledge()
			read()
		}
	})
	flushes := powerfail.Flushes{}
	recording.Check(t, flushes, func(i powerfail.Image) error {
		root := filepath.Join(i.Path, "root")
		got, err := New(root, nil).readContent()
		if err != nil {
			return err
		}
		want := after[i.Acknowledged]
		if next := after[min(i.Acknowledged+1, len(after)-1)]; got != want && got != next {
			return fmt.Errorf("content %v, want %v or %v", got, want, next)
		}
		if info, err := os.Stat(layout.Notes(root, layout.Transactions)); err == nil && info.Mode().Perm() != 0o750 {
			return fmt.Errorf("folder of transactions has mode %v", info.Mode())
		}
		return nil
	})
	flushes.CheckNeeded(t, nil)
}
