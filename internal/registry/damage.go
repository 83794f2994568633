package registry

import (
	"slices"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// maxPastDamage bounds how many past damages are kept. On a disk that keeps damaging
// the file the latest are enough.
const maxPastDamage = 100

// rememberDamage keeps the damage of files that were replaced, so that an operator
// can see it later (ST-07).
func (r *Registry) rememberDamage(damaged ...plugin.Damage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pastDamage = append(r.pastDamage, damaged...)
	if excess := len(r.pastDamage) - maxPastDamage; excess > 0 {
		r.pastDamage = slices.Delete(r.pastDamage, 0, excess)
	}
}

// reportDamage adds the past damage to the damage that a list found, and logs what
// the previous list did not have (ST-06).
func (r *Registry) reportDamage(found []plugin.Damage) []plugin.Damage {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Concat(r.pastDamage, found)
	logged := make(map[plugin.Damage]bool, len(all))
	for _, d := range all {
		if !r.logged[d] && !logged[d] {
			r.log.WithFields(logrus.Fields{"database": r.path, "where": d.Where, "cause": d.Why}).
				Warn("Plugin database has an unusable record")
		}
		logged[d] = true
	}
	r.logged = logged
	return all
}
