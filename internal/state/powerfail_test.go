package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/powerfail"
	"pluginsupervisor/plugin"
)

// EV-11: a batch saved with Sync survives a power failure at any moment. The memory
// is then that of one moment, and nothing is damaged.
func TestPowerFailure(t *testing.T) {
	const small = 1 << 10 // bytes of the log
	memories := []plugin.Memory{emptyMemory}
	var lasting []int // index of the last memory at each acknowledgement
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		path := filepath.Join(f.Path, "root", "supervisor", "state.db")
		f.Settle()
		acknowledge := func() {
			lasting = append(lasting, len(memories)-1)
			f.Acknowledge()
		}
		var s *Store
		open := func() {
			var err error
			log, _ := newTestLog()
			if s, _, err = openFoldingAt(path, log, small); err != nil {
				t.Fatal(err)
			}
		}
		save := func(sync bool) {
			c := numberedChanges(len(memories))
			c.Sync = sync
			memories = append(memories, applyChanges(memories[len(memories)-1], c))
			mustSave(t, s, c)
			if sync {
				acknowledge()
			}
		}
		open()
		acknowledge() // the state exists
		for n := range 8 {
			save(n%3 == 1)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		acknowledge()
		open()
		save(false)
		save(true)
		s.closeWithoutFold()
		open()
		save(true)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		acknowledge()
	})
	redundant := map[string]string{
		"flush of root/supervisor after create":            "of the second start: only the journal was created since the first, and it is never flushed",
		"flush of root/supervisor/state.db after truncate": "bbolt flushes a new length by itself, and again with the pages behind the old one",
	}
	flushes := powerfail.Flushes{}
	recording.Check(t, flushes, func(i powerfail.Image) error {
		path := filepath.Join(i.Path, "root", "supervisor", "state.db")
		log, _ := newTestLog()
		s := newStore(path, log)
		s.limit = time.Minute
		_, remembered, err := s.openStore()
		if err != nil {
			return err
		}
		defer s.closeWithoutFold()
		remembered.Entries = 0
		if damaged := s.Damaged(time.Now()); len(damaged) > 0 && !i.Holed {
			return fmt.Errorf("damaged: %v", damaged)
		}
		return errors.Join(s.Problem(), checkOneOf(remembered, memories, lasting, i.Acknowledged), checkJournal(path, i.Holed))
	})
	flushes.CheckNeeded(t, redundant)
}

// numberedChanges returns changes of several kinds, each with the number n.
func numberedChanges(n int) plugin.Changes {
	c := sample()
	c.Settings.LastCheck = noon.Add(time.Duration(n) * time.Second)
	c.Pending["a"].Seq = uint64(n)
	c.Pending[fmt.Sprint("p", n)] = &plugin.PendingReport{Name: fmt.Sprint("p", n), Version: strings.Repeat("1.", 100) + "0"}
	if n > 3 {
		c.Pending[fmt.Sprint("p", n-3)] = nil
	}
	c.Entries = entries(n, n)
	return c
}

// checkOneOf fails unless a memory is one of those from the last acknowledgement to
// the next.
func checkOneOf(got plugin.Memory, memories []plugin.Memory, lasting []int, acknowledged int) error {
	first, last := 0, len(memories)-1
	if acknowledged > 0 {
		first = lasting[acknowledged-1]
	}
	if acknowledged < len(lasting) {
		last = lasting[acknowledged]
	}
	for _, m := range memories[first : last+1] {
		if cmp.Equal(m, got) {
			return nil
		}
	}
	return fmt.Errorf("memory has %d pending reports up to %d, want the memory after save %d to %d", len(got.Pending), got.Pending["a"].Seq, first, last)
}

// checkJournal fails unless the journal holds the entries from 1 on.
func checkJournal(path string, holed bool) error {
	got, err := ReadJournal(filepath.Dir(path), Filter{})
	if err != nil && !holed {
		return err
	}
	if want := entries(1, len(got)); joinNumbers(got) != joinNumbers(want) && !holed {
		return fmt.Errorf("the journal holds %s, want %s", joinNumbers(got), joinNumbers(want))
	}
	return nil
}
