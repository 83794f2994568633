package controlplane

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"pluginsupervisor/plugin"
)

// Caller is the host that makes a request.
type Caller struct {
	ID      string // the id it sends, else its address
	Address string // the peer's IP address
	Agent   string // its User-Agent
}

// Host is one host as last reported.
type Host struct {
	ID        string       `json:"id"`
	Address   string       `json:"address"`
	Agent     string       `json:"agent"`
	FirstSeen time.Time    `json:"firstHeard"`
	LastSeen  time.Time    `json:"lastHeard"`
	Plugins   []HostPlugin `json:"plugins"` // by name
}

// HostPlugin is one plugin of a host as last reported. A report may leave plugins
// out; an uninstalled one is reported as removed.
type HostPlugin struct {
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Status   plugin.Status `json:"status"`
	Since    time.Time     `json:"since"` // when this version got this status
	Reported time.Time     `json:"reported"`
}

// Change is a change of a plugin's status or version.
type Change struct {
	Host, Plugin, Version string
	Status                plugin.Status
	First                 bool // first report of the plugin: there is no Was
	WasVersion            string
	WasStatus             plugin.Status
	At                    time.Time
}

// HasHost reports whether the host is known.
func (s *Store) HasHost(ctx context.Context, id string) (bool, error) {
	var n int
	if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM hosts WHERE id = ?`, id).Scan(&n); err != nil {
		return false, fmt.Errorf("read host: %w", err)
	}
	return n > 0, nil
}

// RecordContact stores the time of a request of the host.
func (s *Store) RecordContact(ctx context.Context, c Caller, at time.Time) error {
	return s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) error { return writeHost(ctx, tx, c, at) })
}

func writeHost(ctx context.Context, tx *sql.Tx, c Caller, at time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO hosts (id, address, agent, first_heard, last_heard) VALUES (?1, ?2, ?3, ?4, ?4)
		ON CONFLICT (id) DO UPDATE SET address = excluded.address, agent = excluded.agent, last_heard = excluded.last_heard`,
		c.ID, c.Address, c.Agent, at.UnixMilli())
	if err != nil {
		return fmt.Errorf("write host: %w", err)
	}
	return nil
}

// RecordReport stores a host's report of its plugins and returns the changes.
func (s *Store) RecordReport(ctx context.Context, c Caller, entries []plugin.ReportEntry, at time.Time) ([]Change, error) {
	var changes []Change
	err := s.writer.applyChange(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if err = writeHost(ctx, tx, c, at); err == nil {
			changes, err = writeReport(ctx, tx, c.ID, selectOnePerName(entries), at)
		}
		return err
	})
	if err != nil {
		return nil, err // changes may still be written to if ctx is done
	}
	return changes, nil
}

func writeReport(ctx context.Context, tx *sql.Tx, host string, entries []plugin.ReportEntry, at time.Time) ([]Change, error) {
	known, err := readPlugins(ctx, tx, host)
	if err != nil {
		return nil, fmt.Errorf("read plugins: %w", err)
	}
	w, err := prepareReport(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("write plugins: %w", err)
	}
	defer w.closeStatements()
	var changes []Change
	for _, e := range entries {
		was, found := known[e.Name]
		now := HostPlugin{Name: e.Name, Version: e.Version, Status: e.Status, Since: was.Since, Reported: at}
		changed := !found || was.Version != e.Version || was.Status != e.Status
		if changed {
			now.Since = at
		}
		if err := w.writePlugin(ctx, host, now); err != nil {
			return nil, fmt.Errorf("write plugin: %w", err)
		}
		if !changed {
			continue
		}
		c := Change{
			Host: host, Plugin: e.Name, Version: e.Version, Status: e.Status,
			First: !found, WasVersion: was.Version, WasStatus: was.Status, At: at,
		}
		if err := w.recordChange(ctx, c); err != nil {
			return nil, fmt.Errorf("write change: %w", err)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// selectOnePerName returns one entry for each name: of several plugins of one
// name, the first that is not removed (ST-10).
func selectOnePerName(entries []plugin.ReportEntry) []plugin.ReportEntry {
	at := make(map[string]int, len(entries))
	var kept []plugin.ReportEntry
	for _, e := range entries {
		i, seen := at[e.Name]
		switch {
		case !seen:
			at[e.Name] = len(kept)
			kept = append(kept, e)
		case kept[i].Status == plugin.StatusRemoved && e.Status != plugin.StatusRemoved:
			kept[i] = e
		}
	}
	return kept
}

func readPlugins(ctx context.Context, tx *sql.Tx, host string) (map[string]HostPlugin, error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, version, status, since FROM plugins WHERE host = ?`, host)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]HostPlugin{}
	for rows.Next() {
		var p HostPlugin
		var status string
		var since int64
		if err := rows.Scan(&p.Name, &p.Version, &status, &since); err != nil {
			return nil, err
		}
		if err := p.Status.UnmarshalText([]byte(status)); err != nil {
			return nil, err
		}
		p.Since = timeOfMillis(since)
		all[p.Name] = p
	}
	return all, rows.Err()
}

// reportWriter holds the statements that run for each plugin of a report, prepared
// once: a report may list very many.
type reportWriter struct{ plugin, change, deleteOld *sql.Stmt }

func prepareReport(ctx context.Context, tx *sql.Tx) (w reportWriter, err error) {
	for _, s := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&w.plugin, `INSERT INTO plugins (host, name, version, status, since, reported) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (host, name) DO UPDATE SET
				version = excluded.version, status = excluded.status, since = excluded.since, reported = excluded.reported`},
		{&w.change, `INSERT INTO changes (host, plugin, version, status, was_version, was_status, at) VALUES (?, ?, ?, ?, ?, ?, ?)`},
		{&w.deleteOld, `DELETE FROM changes WHERE host = ?1 AND plugin = ?2 AND id <=
			(SELECT id FROM changes WHERE host = ?1 AND plugin = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)`},
	} {
		if *s.stmt, err = tx.PrepareContext(ctx, s.query); err != nil {
			w.closeStatements()
			return reportWriter{}, err
		}
	}
	return w, nil
}

func (w reportWriter) closeStatements() {
	for _, s := range []*sql.Stmt{w.plugin, w.change, w.deleteOld} {
		if s != nil {
			_ = s.Close() // the transaction closes it as well
		}
	}
}

func (w reportWriter) writePlugin(ctx context.Context, host string, p HostPlugin) error {
	_, err := w.plugin.ExecContext(ctx, host, p.Name, p.Version, p.Status.String(), p.Since.UnixMilli(), p.Reported.UnixMilli())
	return err
}

// ListHosts lists hosts with their plugins, sorted by id.
func (s *Store) ListHosts(ctx context.Context) ([]Host, error) {
	type row struct {
		host   Host
		plugin *HostPlugin
	}
	rows, err := queryRows(ctx, s.read, func(r *sql.Rows) (row, error) {
		var h Host
		var first, last int64
		var name, version, status sql.NullString
		var since, reported sql.NullInt64
		err := r.Scan(&h.ID, &h.Address, &h.Agent, &first, &last, &name, &version, &status, &since, &reported)
		if err != nil {
			return row{}, err
		}
		h.FirstSeen, h.LastSeen, h.Plugins = timeOfMillis(first), timeOfMillis(last), []HostPlugin{}
		if !name.Valid {
			return row{host: h}, nil
		}
		p := HostPlugin{Name: name.String, Version: version.String, Since: timeOfMillis(since.Int64), Reported: timeOfMillis(reported.Int64)}
		return row{h, &p}, p.Status.UnmarshalText([]byte(status.String))
	}, `SELECT h.id, h.address, h.agent, h.first_heard, h.last_heard, p.name, p.version, p.status, p.since, p.reported
		FROM hosts h LEFT JOIN plugins p ON p.host = h.id ORDER BY h.id, p.name`)
	if err != nil {
		return nil, fmt.Errorf("read hosts: %w", err)
	}
	hosts := []Host{}
	for _, r := range rows {
		if len(hosts) == 0 || hosts[len(hosts)-1].ID != r.host.ID {
			hosts = append(hosts, r.host)
		}
		if h := &hosts[len(hosts)-1]; r.plugin != nil {
			h.Plugins = append(h.Plugins, *r.plugin)
		}
	}
	return hosts, nil
}
