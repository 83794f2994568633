package registry

import (
	"slices"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// maxPastDamage bounds how many past damages are kept: on a disk that goes on
// damaging the file the latest say it all.
const maxPastDamage = 100

// rememberDamage keeps what became of damaged files: an operator who looks later
// shall still see it (ST-07).
func (r *Registry) rememberDamage(damaged ...plugin.Damage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pastDamage = append(r.pastDamage, damaged...)
	if over := len(r.pastDamage) - maxPastDamage; over > 0 {
		r.pastDamage = slices.Delete(r.pastDamage, 0, over)
	}
}

// reportDamage adds what is remembered to what a list found, and logs what the list
// before did not have (ST-06).
func (r *Registry) reportDamage(found []plugin.Damage) []plugin.Damage {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Concat(r.pastDamage, found)
	logged := make(map[plugin.Damage]bool, len(all))
	for _, d := range all {
		if !r.logged[d] && !logged[d] {
			r.log.WithFields(logrus.Fields{"database": r.path, "where": d.Where, "cause": d.Why}).
				Warn("Plugin database holds something that cannot be used")
		}
		logged[d] = true
	}
	r.logged = logged
	return all
}
