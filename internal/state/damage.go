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

// damageShown is for how long damage is reported.
const damageShown = 24 * time.Hour

// damages notes what of our files was damaged. A file that was moved aside is its
// own note: it is reported for a day, also after the next start, or until an
// operator removes it (EV-11). What was dropped from a file is reported for a day
// of this process.
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

// setAside moves a damaged file aside.
func (d *damages) setAside(path string, why error) error {
	aside, err := boltfile.SetAside(path, time.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	d.log.WithError(why).WithFields(logrus.Fields{"file": path, "movedTo": aside}).Warn("Moved a damaged state file aside")
	return nil
}

// maxNoted bounds how many notes are kept.
const maxNoted = 20

// note notes what was dropped from the file at path.
func (d *damages) note(path, why string) {
	where := filepath.Base(path)
	d.log.WithFields(logrus.Fields{"file": path, "cause": why}).Warn("State was damaged")
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.noted) < maxNoted {
		d.noted = append(d.noted, notedDamage{time.Now(), plugin.Damage{Where: where, Why: why + "; " + lossOf(where)}})
	}
}

// Damaged returns what was damaged of the supervisor's own files, with what may
// be lost by it, for a day or until an operator has removed what was moved aside.
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
	aside, err := bounded.Run(&d.reading, dir, time.Second, func() []plugin.Damage { return asideIn(dir, now) }, nil)
	if err != nil {
		return all // the disk hangs, which is a problem of its own
	}
	return append(all, aside...)
}

// asideIn returns the files that were moved aside in our folder and in the
// folders in it.
func asideIn(dir string, now time.Time) (found []plugin.Damage) {
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
				Why:   fmt.Sprintf("damaged, moved aside: %s; to acknowledge, remove supervisor/%s", lossOf(where), name),
			})
		}
	}
	return found
}

// lossOf returns what may be lost with a file.
func lossOf(where string) string {
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
