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
	ID      string // what it calls itself, else its address
	Address string // the peer's IP address
	Agent   string // its User-Agent
}

// Host is one host as it was last heard.
type Host struct {
	ID         string       `json:"id"`
	Address    string       `json:"address"`
	Agent      string       `json:"agent"`
	FirstHeard time.Time    `json:"firstHeard"`
	LastHeard  time.Time    `json:"lastHeard"`
	Plugins    []HostPlugin `json:"plugins"` // by name
}

// HostPlugin is one plugin of a host as it was last reported. A report need
// not name every plugin; one that is gone is reported as removed.
type HostPlugin struct {
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Status   plugin.Status `json:"status"`
	Since    time.Time     `json:"since"` // when this version came to this status
	Reported time.Time     `json:"reported"`
}

// Change is a plugin coming to another status or version.
type Change struct {
	Host, Plugin, Version string
	Status                plugin.Status
	First                 bool // it was never reported before: there is no Was
	WasVersion            string
	WasStatus             plugin.Status
	At                    time.Time
}

// HasHost reports whether the host was heard before.
func (s *Store) HasHost(ctx context.Context, id string) (bool, error) {
	var n int
	if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM hosts WHERE id = ?`, id).Scan(&n); err != nil {
		return false, fmt.Errorf("read host: %w", err)
	}
	return n > 0, nil
}

// Heard notes that the host spoke.
func (s *Store) Heard(ctx context.Context, c Caller, at time.Time) error {
	return s.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error { return heard(ctx, tx, c, at) })
}

func heard(ctx context.Context, tx *sql.Tx, c Caller, at time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO hosts (id, address, agent, first_heard, last_heard) VALUES (?1, ?2, ?3, ?4, ?4)
		ON CONFLICT (id) DO UPDATE SET address = excluded.address, agent = excluded.agent, last_heard = excluded.last_heard`,
		c.ID, c.Address, c.Agent, at.UnixMilli())
	if err != nil {
		return fmt.Errorf("write host: %w", err)
	}
	return nil
}

// Report notes what the host says of its plugins and returns what changed.
func (s *Store) Report(ctx context.Context, c Caller, entries []plugin.ReportEntry, at time.Time) ([]Change, error) {
	var changes []Change
	err := s.writer.do(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if err = heard(ctx, tx, c, at); err == nil {
			changes, err = report(ctx, tx, c.ID, foremost(entries), at)
		}
		return err
	})
	if err != nil {
		return nil, err // changes may still be written to if ctx ended
	}
	return changes, nil
}

func report(ctx context.Context, tx *sql.Tx, host string, entries []plugin.ReportEntry, at time.Time) ([]Change, error) {
	known, err := known(ctx, tx, host)
	if err != nil {
		return nil, fmt.Errorf("read plugins: %w", err)
	}
	w, err := prepareReport(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("write plugins: %w", err)
	}
	defer w.close()
	var changes []Change
	for _, e := range entries {
		was, found := known[e.Name]
		now := HostPlugin{Name: e.Name, Version: e.Version, Status: e.Status, Since: was.Since, Reported: at}
		changed := !found || was.Version != e.Version || was.Status != e.Status
		if changed {
			now.Since = at
		}
		if err := w.put(ctx, host, now); err != nil {
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

// foremost leaves one entry a name: where a host has several plugins of one
// name, the first that is not removed is the one that counts (ST-10).
func foremost(entries []plugin.ReportEntry) []plugin.ReportEntry {
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

func known(ctx context.Context, tx *sql.Tx, host string) (map[string]HostPlugin, error) {
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
		p.Since = milli(since)
		all[p.Name] = p
	}
	return all, rows.Err()
}

// reportWriter holds the statements that a report carries out for each plugin:
// prepared once, as one report may name very many.
type reportWriter struct{ plugin, change, older *sql.Stmt }

func prepareReport(ctx context.Context, tx *sql.Tx) (w reportWriter, err error) {
	for _, s := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&w.plugin, `INSERT INTO plugins (host, name, version, status, since, reported) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (host, name) DO UPDATE SET
				version = excluded.version, status = excluded.status, since = excluded.since, reported = excluded.reported`},
		{&w.change, `INSERT INTO changes (host, plugin, version, status, was_version, was_status, at) VALUES (?, ?, ?, ?, ?, ?, ?)`},
		{&w.older, `DELETE FROM changes WHERE host = ?1 AND plugin = ?2 AND id <=
			(SELECT id FROM changes WHERE host = ?1 AND plugin = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)`},
	} {
		if *s.stmt, err = tx.PrepareContext(ctx, s.query); err != nil {
			w.close()
			return reportWriter{}, err
		}
	}
	return w, nil
}

func (w reportWriter) close() {
	for _, s := range []*sql.Stmt{w.plugin, w.change, w.older} {
		if s != nil {
			_ = s.Close() // the transaction closes it as well
		}
	}
}

func (w reportWriter) put(ctx context.Context, host string, p HostPlugin) error {
	_, err := w.plugin.ExecContext(ctx, host, p.Name, p.Version, p.Status.String(), p.Since.UnixMilli(), p.Reported.UnixMilli())
	return err
}

// Hosts lists hosts with their plugins, by id.
func (s *Store) Hosts(ctx context.Context) ([]Host, error) {
	type row struct {
		host   Host
		plugin *HostPlugin
	}
	rows, err := list(ctx, s.read, func(r *sql.Rows) (row, error) {
		var h Host
		var first, last int64
		var name, version, status sql.NullString
		var since, reported sql.NullInt64
		err := r.Scan(&h.ID, &h.Address, &h.Agent, &first, &last, &name, &version, &status, &since, &reported)
		if err != nil {
			return row{}, err
		}
		h.FirstHeard, h.LastHeard, h.Plugins = milli(first), milli(last), []HostPlugin{}
		if !name.Valid {
			return row{host: h}, nil
		}
		p := HostPlugin{Name: name.String, Version: version.String, Since: milli(since.Int64), Reported: milli(reported.Int64)}
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
