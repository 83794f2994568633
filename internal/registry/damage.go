package registry

import (
	"slices"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/plugin"
)

// maxPast bounds how many past damages are kept: on a disk that goes on
// damaging the file the latest say it all.
const maxPast = 100

// remember keeps what became of damaged files: an operator who looks later
// shall still see it (ST-07).
func (r *Registry) remember(damaged ...plugin.Damage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.past = append(r.past, damaged...)
	if over := len(r.past) - maxPast; over > 0 {
		r.past = slices.Delete(r.past, 0, over)
	}
}

// report adds what is remembered to what a list found, and logs what the list
// before did not have (ST-06).
func (r *Registry) report(found []plugin.Damage) []plugin.Damage {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Concat(r.past, found)
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
