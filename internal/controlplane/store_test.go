package controlplane

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/plugin"
)

// content holds all data of a store.
type content struct {
	Hosts    []Host
	Changes  []Change
	Events   []Event
	Offers   []Offer
	Settings Settings
}

func readContents(t *testing.T, s *Store) (c content) {
	t.Helper()
	ctx := context.Background()
	var errs [5]error
	c.Hosts, errs[0] = s.ListHosts(ctx)
	c.Changes, errs[1] = s.ListChanges(ctx, 1000)
	c.Events, errs[2] = s.ListEvents(ctx, 1000)
	c.Offers, errs[3] = s.ListOffers(ctx)
	c.Settings, errs[4] = s.ReadSettings(ctx)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStoreSurvivesRestart(t *testing.T) {
	// A name with all characters that are special in a database URL.
	path := filepath.Join(t.TempDir(), "fleet ?mode=memory&%41#x.db")
	ctx, at := context.Background(), time.UnixMilli(1_700_000_000_123).UTC()
	s := openStore(t, path)
	entries := []plugin.ReportEntry{{Name: "a", Version: "1", Status: plugin.StatusFailed}, {Name: "a\x00b", Version: "ü\n'", Status: plugin.StatusUnknown}}
	_, err := s.RecordReport(ctx, Caller{ID: "h", Address: "10.0.0.1", Agent: "linux_amd64/1"}, entries, at)
	_, settingsErr := s.ChangeSettings(ctx, func(set *Settings) error { *set = Settings{Scan: 30, Lazy: true}; return nil })
	if err := errors.Join(err, settingsErr,
		s.RecordContact(ctx, Caller{ID: "silent", Address: "10.0.0.2"}, at),
		s.AddEvent(ctx, Caller{ID: "h", Address: "10.0.0.1"}, Event{ID: "e", Level: "INFO", Keywords: "{}", At: at, Received: at}),
		s.MakeOffer(ctx, Offer{Name: "a", Version: "2", Timeout: 90, Made: at}),
		s.MakeOffer(ctx, Offer{Name: "a", Version: "3", Host: "not reported yet", Made: at}),
	); err != nil {
		t.Fatal(err)
	}
	before := readContents(t, s)
	if len(before.Hosts) != 2 || len(before.Hosts[0].Plugins) != 2 || len(before.Changes) != 2 || len(before.Events) != 1 || len(before.Offers) != 2 {
		t.Fatalf("data is missing: %+v", before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	s = openStore(t, path)
	defer s.Close()
	if diff := cmp.Diff(before, readContents(t, s)); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}

func TestStoreIsDurable(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	defer s.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		if err := s.writer.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("CP-04 %s is %q, want %q: %v", pragma, got, want, err)
		}
	}
	if _, err := s.read.Exec(`DELETE FROM settings`); err == nil {
		t.Error("readers can write")
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "fleet.db"))
	defer s.Close()
	ctx, now := context.Background(), time.Now()
	quiet := Caller{ID: "quiet"}
	_, err := s.RecordReport(ctx, quiet, []plugin.ReportEntry{{Name: "a", Version: "1"}}, now)
	if err := errors.Join(err, s.AddEvent(ctx, quiet, Event{ID: "e", Received: now})); err != nil {
		t.Fatal(err)
	}
	for i := range maxEvents + 20 {
		c := Caller{ID: "loud"}
		_, err := s.RecordReport(ctx, c, []plugin.ReportEntry{{Name: "a", Version: fmt.Sprint(i)}}, now)
		if err := errors.Join(err, s.AddEvent(ctx, c, Event{ID: fmt.Sprint(i), Received: now})); err != nil {
			t.Fatal(err)
		}
	}
	all := readContents(t, s)
	if got := len(all.Changes); got != maxChanges+1 {
		t.Errorf("kept %d changes, want %d of the loud host and 1 of the quiet one", got, maxChanges)
	}
	if got := len(all.Events); got != maxEvents+1 {
		t.Errorf("kept %d events, want %d of the loud host and 1 of the quiet one", got, maxEvents)
	}
	if newest := all.Events[0].ID; newest != fmt.Sprint(maxEvents+19) {
		t.Errorf("newest event %s", newest)
	}
}

func TestOpenMigrates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	first, err := migrations.ReadFile("migrations/0001_first.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		string(first), `CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT`, `INSERT INTO schema_version VALUES (1)`,
		`UPDATE settings SET scan_interval = 300`,
	} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path)
	defer s.Close()
	if got := readContents(t, s).Settings; got.Scan != 300 {
		t.Errorf("settings became %+v", got)
	}
	if all, err := s.ListPackages(context.Background(), ""); err != nil || len(all) > 0 {
		t.Errorf("packages %v: %v", all, err)
	}
}

func TestOpenRejects(t *testing.T) {
	t.Run("a later version's database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "fleet.db")
		s := openStore(t, path)
		if _, err := s.writer.db.Exec(`INSERT INTO schema_version VALUES (999)`); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), path); !errors.Is(err, ErrNewerSchema) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("another file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		text := []byte("this is not a database, and must not become one")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), path); err == nil {
			t.Error("opened")
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(text) {
			t.Errorf("file is now %q: %v", after, err)
		}
	})
	t.Run("a missing folder", func(t *testing.T) {
		if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "no", "fleet.db")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
}

func TestManyHostsAtOnce(t *testing.T) {
	f := newFleet(t)
	const hosts, reports = 50, 5
	var all sync.WaitGroup
	for h := range hosts {
		all.Go(func() {
			host := fmt.Sprintf("host-%02d", h)
			for n := range reports {
				body := fmt.Sprintf(`{"plugin":[{"name":"a","status":"PERSIST_RUNNING","version":"%d"},{"name":"b","status":"PERSIST_FAIL","version":"1"}]}`, n)
				code, text := f.sendRequest(http.MethodPost, control.PathReport, host, body)
				if code != 200 {
					t.Errorf("%s report %d answered %d %s, want 200", host, n, code, text)
				}
			}
		})
	}
	all.Wait()
	got := readContents(t, f.store)
	if len(got.Hosts) != hosts || len(got.Changes) != hosts*(reports+1) {
		t.Errorf("CP-01 %d hosts with %d changes", len(got.Hosts), len(got.Changes))
	}
	for _, h := range got.Hosts {
		if len(h.Plugins) != 2 || h.Plugins[0].Version != fmt.Sprint(reports-1) {
			t.Errorf("CP-01 %s has %+v", h.ID, h.Plugins)
		}
	}
}
