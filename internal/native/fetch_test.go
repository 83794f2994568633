package native

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/plugin"
)

// UP-11: a package is fetched without changing the installed version, without a lock,
// and is gone when the change is made, discarded or cancelled.
func TestFetch(t *testing.T) {
	t.Run("UP-11 while another program works on the plugin", func(t *testing.T) {
		b, o := newPackageFixture(t, nil)
		release, _, err := lock.Exclusive(t.Context(), layout.NameLock(b.root, "p"), nil)
		if err != nil {
			t.Fatal(err)
		}
		before := len(b.readCalls())
		err = b.Fetch(t.Context(), o)
		release()
		if err != nil || len(b.readCalls()) != before || isFolder(b.versionFolder("p", "2.0")) {
			t.Errorf("fetched: %v, ran %q", err, b.readCalls()[before:])
		}
		if got := b.Change(t.Context(), o, plugin.ChangePermit{StatusBefore: plugin.StatusRunning}); got.Err != nil {
			t.Errorf("upgraded: %+v", got)
		}
		b.checkSettled("2.0")
		b.checkNothingStaged()
	})
	t.Run("UP-11 discarded", func(t *testing.T) {
		b, o := newPackageFixture(t, nil)
		o.ID = 7
		for range 2 { // the second package replaces the first
			if err := b.Fetch(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		b.Discard(plugin.Change{ID: 8, Name: "p"}) // another change
		if b.Manager.staged.Get(o) == nil {
			t.Error("the fetched package is gone")
		}
		b.Discard(o)
		b.checkNothingStaged()
		if got := b.Change(t.Context(), o, plugin.ChangePermit{}); got.Err == nil || !strings.Contains(got.Cause(), "was not fetched") {
			t.Errorf("upgraded: %+v", got)
		}
		b.checkSettled("1.0")
	})
	t.Run("UP-11 refused before it is fetched", func(t *testing.T) {
		b, o := newPackageFixture(t, nil)
		if err := b.changes.Quarantine(plugin.QuarantinedVersion{Name: "p", Version: "2.0", Until: time.Now().Add(time.Minute), Cause: "it exited"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Fetch(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in quarantine until") {
			t.Errorf("fetched: %v", err)
		}
		b.checkNothingStaged()
	})
	t.Run("UP-11 a change that needs no package", func(t *testing.T) {
		b, _ := newPackageFixture(t, nil)
		b.packages = nil
		for _, c := range []plugin.Change{
			{Name: "p", Version: "1.0"},
			{Kind: plugin.ChangeRemove, Name: "p"},
			{Kind: plugin.ChangeRollback, Name: "p"},
			{Kind: plugin.ChangeResume, Name: "p", Version: "2.0"},
		} {
			if err := b.Fetch(t.Context(), c); err != nil {
				t.Errorf("%s: %v", c, err)
			}
		}
	})
}

// fetchGate returns packages once all that are expected are being fetched.
type fetchGate struct {
	packageInstaller
	all *sync.WaitGroup
}

func (g fetchGate) Stage(ctx context.Context, c plugin.Change) (*install.Staged, error) {
	g.all.Done()
	if g.all.Wait(); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return g.packageInstaller.Stage(ctx, c)
}

// UP-11: packages of several plugins are fetched at once.
func TestFetchesSideBySide(t *testing.T) {
	b, o := newPackageFixture(t, nil)
	g := fetchGate{b.packages.(packageInstaller), new(sync.WaitGroup)}
	b.packages = g
	other := o
	other.Name = "q" // the package is p's: it is fetched and then refused
	g.all.Add(2)
	var fetches sync.WaitGroup
	fetches.Go(func() {
		if err := b.Fetch(t.Context(), o); err != nil {
			t.Error(err)
		}
	})
	fetches.Go(func() {
		if err := b.Fetch(t.Context(), other); err == nil {
			t.Error("the package of p was accepted for q")
		}
	})
	fetches.Wait()
	b.Discard(o)
	b.checkNothingStaged()
}

// UP-11: a fetch that is cancelled returns soon and leaves nothing.
func TestFetchCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b, o := newPackageFixture(t, func(step string) error {
		if strings.HasPrefix(step, "mkdir package") {
			cancel()
		}
		return nil
	})
	if err := b.Fetch(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("fetched: %v", err)
	}
	b.checkNothingStaged()
	if b.Manager.staged.Get(o) != nil {
		t.Error("a package is kept")
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
