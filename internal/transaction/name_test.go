package transaction

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// SPEC 1: a change, a quarantine and a sequence are saved for a plugin and a version of
// any name, and the temporary files of a killed process are removed.
func TestEveryName(t *testing.T) {
	s, now := New(t.TempDir(), nil), time.Now()
	names := []string{"a@b", "云 助手", "x.new", strings.Repeat("云", 85)}
	for length := 240; length <= 255; length++ {
		names = append(names, strings.Repeat("n", length))
	}
	for i, name := range names {
		version := names[len(names)-1-i]
		t.Run(fmt.Sprint(len(name), " and ", len(version)), func(t *testing.T) {
			if err := s.Save(Transaction{Name: name, To: record.Record{Name: name, Version: version}, Step: Prepared}); err != nil {
				t.Fatal(err)
			}
			if got, found, err := s.Find(name); !found || err != nil || got.To.Version != version {
				t.Errorf("%+v, %t, %v", got, found, err)
			}
			if got, err := s.ListPending(); len(got) != 1 || err != nil {
				t.Errorf("%+v, %v", got, err)
			}
			if err := s.Remove(name); err != nil {
				t.Error(err)
			}
			if err := s.Quarantine(plugin.QuarantinedVersion{Name: name, Version: version, Until: now.Add(time.Minute)}); err != nil {
				t.Fatal(err)
			}
			if _, blocked := s.FindQuarantined(name, version, now, time.Hour); !blocked {
				t.Error("not in quarantine")
			}
			if err := s.LiftQuarantine(name, version); err != nil {
				t.Error(err)
			}
			if err := s.SaveSequence(t.Context(), name, 7); err != nil {
				t.Error(err)
			}
			temp := durable.TempName(s.filePath(layout.Transactions, name))
			if err := os.WriteFile(temp, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(temp, now, now.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.ListPending(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(filepath.Dir(temp)); len(left) > 0 || err != nil {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// SPEC 1: names with a @ do not mix up the versions of two plugins.
func TestQuarantinesAreSeparate(t *testing.T) {
	s, now := New(t.TempDir(), nil), time.Now()
	for _, b := range []plugin.QuarantinedVersion{{Name: "a@b", Version: "c"}, {Name: "a", Version: "b@c"}} {
		b.Until = now.Add(time.Minute)
		if err := s.Quarantine(b); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := s.ListQuarantined(now, time.Hour); len(all) != 2 || err != nil {
		t.Errorf("quarantine %+v, %v; want two versions", all, err)
	}
}
