package controlplane

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// Offer is a version of a plugin that hosts are asked to install. It stays until
// it is withdrawn or another version of the plugin replaces it.
type Offer struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Timeout Seconds   `json:"timeout"`        // of the upgrade on the host; 0: plugin.DefaultTimeout
	Host    string    `json:"host,omitempty"` // "" for every host; an offer for one host has priority
	Made    time.Time `json:"made"`
}

// Check returns an error when the offer is not valid.
func (o Offer) Check() error {
	if err := plugin.CheckName(o.Name); err != nil {
		return fmt.Errorf("plugin name: %w", err)
	}
	if err := plugin.CheckName(o.Version); err != nil {
		return fmt.Errorf("plugin version: %w", err)
	}
	if limit := Seconds(plugin.MaxTimeout / time.Second); o.Timeout < 0 || o.Timeout > limit {
		return fmt.Errorf("timeout of %ds is too long: hosts accept at most %ds", o.Timeout, limit)
	}
	if o.Host == "" {
		return nil
	}
	return checkHost(o.Host)
}

// hostTimeout returns the timeout that hosts get. It is never 0, which the
// existing agent takes as an expired timeout.
func (o Offer) hostTimeout() Seconds {
	return cmp.Or(o.Timeout, Seconds(plugin.DefaultTimeout/time.Second))
}

// MakeOffer stores the offer and replaces one for the same plugin and host.
func (s *Store) MakeOffer(ctx context.Context, o Offer) error {
	return s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO offers (name, host, version, timeout, made) VALUES (?, ?, ?, ?, ?)`,
			o.Name, o.Host, o.Version, o.Timeout, o.Made.UnixMilli())
		if err != nil {
			return fmt.Errorf("write offer: %w", err)
		}
		return nil
	})
}

// WithdrawOffer removes the offer of a plugin for a host, or "" for every host,
// when it is of that version or version is "". It reports whether there was one.
func (s *Store) WithdrawOffer(ctx context.Context, name, version, host string) (bool, error) {
	var found int64
	err := s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `DELETE FROM offers WHERE name = ?1 AND host = ?2 AND ?3 IN ('', version)`, name, host, version)
		if err != nil {
			return fmt.Errorf("delete offer: %w", err)
		}
		found, err = done.RowsAffected()
		return err
	})
	if err != nil {
		return false, err
	}
	return found > 0, nil
}

// ListOffers lists the offers, sorted by plugin and host.
func (s *Store) ListOffers(ctx context.Context) ([]Offer, error) {
	offers, err := queryRows(ctx, s.read, func(r *sql.Rows) (o Offer, err error) {
		var made int64
		err = r.Scan(&o.Name, &o.Version, &o.Timeout, &o.Host, &made)
		o.Made = timeOfMillis(made)
		return o, err
	}, `SELECT name, version, timeout, host, made FROM offers ORDER BY name, host`)
	if err != nil {
		return nil, fmt.Errorf("read offers: %w", err)
	}
	return offers, nil
}

// selectOffers returns the offers for a host with these plugins: of the same
// name and another version. An offer for this host has priority over one for all.
func selectOffers(offers []Offer, host string, has []control.UpdateSubject) []Offer {
	best := map[string]Offer{}
	for _, o := range offers {
		if o.Host == host || o.Host == "" && best[o.Name].Host == "" {
			best[o.Name] = o
		}
	}
	picked := []Offer{}
	for _, p := range has {
		o, found := best[p.Name]
		if !found || o.Version == p.Version {
			continue
		}
		delete(best, p.Name) // once, even if a host lists the name twice
		picked = append(picked, o)
	}
	return picked
}
