package state

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/plugin"
)

// damageShown is the time for which damage is reported.
const damageShown = 24 * time.Hour

// damages holds the damage found in our files. A file that was moved aside is
// reported for a day, also after the next start, or until an operator removes it
// (EV-11). Discarded content is reported for a day by this process only.
type damages struct {
	log logrus.FieldLogger

	mu      sync.Mutex
	noted   []notedDamage
	reading bounded.Set
}

type notedDamage struct {
	at time.Time
	plugin.Damage
}

// setAside renames a damaged file, see boltfile.SetAside.
func (d *damages) setAside(path string, why error) error {
	aside, err := boltfile.SetAside(path, time.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	d.log.WithError(why).WithFields(logrus.Fields{"file": path, "movedTo": aside}).Warn("Moved a damaged state file aside")
	return nil
}

// maxNoted is the maximum number of notes.
const maxNoted = 20

// addNote records that content of the file at path was lost.
func (d *damages) addNote(path, why string) {
	where := filepath.Base(path)
	d.log.WithFields(logrus.Fields{"file": path, "cause": why}).Warn("State file was damaged")
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.noted) < maxNoted {
		d.noted = append(d.noted, notedDamage{time.Now(), plugin.Damage{Where: where, Why: why + "; " + describeLoss(where)}})
	}
}

// Damaged returns the damage of the supervisor's own files and the possible loss,
// for a day or until an operator removes the file that was moved aside.
func (s *Store) Damaged(now time.Time) []plugin.Damage {
	d := &s.damage
	d.mu.Lock()
	d.noted = slices.DeleteFunc(d.noted, func(n notedDamage) bool { return now.Sub(n.at) > damageShown })
	var all []plugin.Damage
	for _, n := range d.noted {
		all = append(all, n.Damage)
	}
	d.mu.Unlock()
	dir := filepath.Dir(s.path)
	aside, err := bounded.Run(&d.reading, dir, time.Second, func() []plugin.Damage { return listAside(dir, now) }, nil)
	if err != nil {
		return all // the disk hangs, which is reported separately
	}
	return append(all, aside...)
}

// listAside returns the files that were moved aside in dir and its subfolders.
func listAside(dir string, now time.Time) (found []plugin.Damage) {
	for _, pattern := range []string{"*.damaged-*", "*/*.damaged-*"} {
		paths, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range paths {
			name, err := filepath.Rel(dir, path)
			if err != nil {
				continue
			}
			where, at, ok := boltfile.ParseAside(name)
			if !ok || now.Sub(at) > damageShown {
				continue
			}
			found = append(found, plugin.Damage{
				Where: where,
				Why:   fmt.Sprintf("damaged, moved aside: %s; to acknowledge, remove supervisor/%s", describeLoss(where), name),
			})
		}
	}
	return found
}

// describeLoss returns the text that says what may be lost with a file.
func describeLoss(where string) string {
	folder, file, inFolder := strings.Cut(where, "/")
	if !inFolder {
		folder, file = "", where
	}
	switch {
	case folder == "transactions":
		return "an upgrade may be left half done"
	case folder == "quarantine":
		return "a version that was rolled back may be tried again"
	case folder == "sequences":
		return "an older signed package may be accepted"
	case strings.HasPrefix(file, "journal"):
		return "entries of the journal may be lost"
	case strings.HasPrefix(file, "state"):
		return "operators' commands, pending reports and restart counts may be lost"
	default:
		return "its content may be lost"
	}
}
