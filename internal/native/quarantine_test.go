package native

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// UP-06: blocked versions are listed, an operator unblocks them, and expired
// quarantines are removed.
func TestQuarantine(t *testing.T) {
	b := newFixture(t, func(o *Options) { o.Quarantine = time.Hour })
	b.install("p", "1.0", okScript, "20")
	b.unpack("p", "2.0", okScript, "")
	blocked := func() (versions []string) {
		all, err := b.ListQuarantined()
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range all {
			versions = append(versions, q.Name+" "+q.Version+": "+q.Cause)
		}
		return versions
	}
	if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err != nil || len(blocked()) != 0 {
		t.Fatalf("%v, blocked %v", got.Err, blocked())
	}
	if got := b.fetchAndChange(t.Context(), plugin.Change{Kind: plugin.ChangeRollback, Name: "p", Origin: plugin.FromOperator}, plugin.ChangePermit{}); got.Err != nil {
		t.Fatal(got.Err)
	}
	if got := blocked(); len(got) != 1 || got[0] != "p 2.0: rolled back by an operator" {
		t.Fatalf("blocked %v", got)
	}
	if got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}); got.Err == nil {
		t.Error("a blocked version was installed")
	}
	if err := b.changes.Quarantine(plugin.QuarantinedVersion{Name: "p", Version: "3.0", Until: time.Now().Add(-time.Second)}); err != nil {
		t.Fatal(err)
	}
	if err := b.CleanUp(t.Context()); err != nil || len(blocked()) != 1 {
		t.Errorf("cleaned up: %v, blocked %v", err, blocked())
	}
	left, err := os.ReadDir(filepath.Join(b.root, "supervisor", "quarantine"))
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Version: "2.0", Origin: plugin.FromOperator}, plugin.ChangePermit{}); got.Err != nil || len(blocked()) != 0 {
		t.Errorf("by an operator: %v, blocked %v", got.Err, blocked())
	}
}
