package native

import (
	"time"

	"pluginsupervisor/internal/transaction"
	"pluginsupervisor/plugin"
)

// quarantine blocks versions that were rolled back, for a while.
type quarantine struct {
	store    *transaction.Store
	duration time.Duration // not positive: no version is blocked
}

// block puts a version into quarantine.
func (q quarantine) block(name, version, cause string) error {
	if q.duration <= 0 {
		return nil
	}
	return q.store.Quarantine(plugin.QuarantinedVersion{Name: name, Version: version, Until: time.Now().Add(q.duration), Cause: cause})
}

// lift takes a version out of quarantine.
func (q quarantine) lift(name, version string) error { return q.store.LiftQuarantine(name, version) }

// find returns the quarantine of a version, if it is blocked.
func (q quarantine) find(name, version string) (plugin.QuarantinedVersion, bool) {
	return q.store.FindQuarantined(name, version, time.Now(), q.duration)
}

func (q quarantine) list() ([]plugin.QuarantinedVersion, error) {
	return q.store.ListQuarantined(time.Now(), q.duration)
}

func (q quarantine) removeExpired() error { return q.store.RemoveExpired(time.Now(), q.duration) }
