package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// The violations after an interrupted upgrade, when the next supervisor has settled.
const (
	notOne     = "not exactly one version running, the recorded one"
	unfinished = "upgrades neither finished nor undone"
	brokenDir  = "recorded versions without a complete folder"
	left       = "files left in staging, or of transactions"
)

// soakUpgrades upgrades a plugin back and forth, kills the supervisor at a random
// moment of each upgrade, and verifies the state after the next supervisor.
func soakUpgrades(ctx context.Context, o options, progress io.Writer) (_ *tally, err error) {
	in, err := testbed.NewInstallation()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Clear()) }()
	w := &world{
		options: o, in: in, tally: &tally{}, rand: rand.New(rand.NewPCG(o.seed, 1)), url: "http://127.0.0.1:1",
		client: admin.Dial(layout.Socket(in.Root)),
	}
	if w.log == "" {
		w.log = filepath.Join(in.Root, "supervisor.log")
	}
	for _, name := range []string{notOne, unfinished, brokenDir, left, copies} {
		w.tally.mustNot(name)
	}
	if err := w.installVersions(ctx); err != nil {
		return nil, err
	}
	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { countCopies(watching, in.Root, w.tally) })
	defer beside.Wait()
	defer done()
	for n := range o.upgrades {
		if err := w.interruptUpgrade(ctx); err != nil {
			return nil, err
		}
		if (n+1)%50 == 0 {
			fmt.Fprintf(progress, "%d upgrades interrupted\n", n+1)
		}
	}
	return w.tally, nil
}

// installVersions unpacks two versions of one plugin, and records the first.
func (w *world) installVersions(ctx context.Context) error {
	program := filepath.Join(w.in.Root, "sampledaemon")
	if err := testbed.Build(ctx, "sampledaemon", program); err != nil {
		return err
	}
	for _, v := range []string{"2.0", "1.0"} {
		like := record.Record{Name: "p", Version: v, RunPath: "run", Type: plugin.Persist, Timeout: "10", HeartbeatInterval: 60}
		if _, err := w.in.Install(ctx, 1, program, like); err != nil {
			return err
		}
		config := fmt.Sprintf(`{"name":"p-000","version":%q,"runPath":"run","pluginType":"Persist","timeout":"10"}`, v)
		if err := os.WriteFile(filepath.Join(layout.Version(w.in.Root, "p-000", v), layout.PackageConfig), []byte(config), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// interruptUpgrade interrupts one upgrade, and checks the result.
func (w *world) interruptUpgrade(ctx context.Context) error {
	s, err := w.startSupervisor()
	if err != nil {
		return err
	}
	before, err := w.waitUpgraded(ctx, s)
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	to := map[string]string{"1.0": "2.0", "2.0": "1.0"}[before]
	if _, err := w.client.RequestChange(ctx, plugin.Change{Name: "p-000", Version: to, Origin: plugin.FromOperator}); err != nil {
		return errors.Join(fmt.Errorf("upgrade to %s: %w", to, err), s.Stop())
	}
	err = s.Pass(ctx, time.Duration(w.randomInt(400_000))*time.Microsecond)
	s.Kill()
	if err != nil {
		return err
	}
	w.tally.add("upgrades interrupted", 1)
	if s, err = w.startSupervisor(); err != nil {
		return err
	}
	after, err := w.waitUpgraded(ctx, s)
	if err == nil && after == before {
		w.tally.add("… undone, or not begun", 1)
	} else if err == nil {
		w.tally.add("… finished", 1)
	}
	s.Kill()
	return err
}

// waitUpgraded waits until the recorded version runs and nothing is pending, and
// returns the version. It counts a violation if that takes too long.
func (w *world) waitUpgraded(ctx context.Context, s *testbed.Child) (version string, err error) {
	const timeout = 20 * time.Second
	var why, kind string
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if version, kind, why = w.checkUpgraded(ctx); why == "" {
			return version, nil
		}
		if err := s.Pass(ctx, 20*time.Millisecond); err != nil {
			return "", err
		}
	}
	w.tally.mustNot(kind, why+"\n"+w.logTail("p-000"))
	return version, fmt.Errorf("not settled within %s: %s", timeout, why)
}

// checkUpgraded returns the installed version, and a violation with its reason.
func (w *world) checkUpgraded(ctx context.Context) (version, kind, why string) {
	snapshot, err := w.client.Status(ctx)
	if err != nil || len(snapshot.Plugins) != 1 {
		return "", notOne, fmt.Sprintf("status: %v, %v", snapshot.Plugins, err)
	}
	rec, found, err := w.in.Registry.Find(ctx, "p-000")
	if err != nil || !found {
		return "", notOne, fmt.Sprintf("record: %t, %v", found, err)
	}
	version = rec.Version
	dir := layout.Version(w.in.Root, "p-000", version)
	if _, err := record.ReadPackageConfig(dir); err != nil {
		return version, brokenDir, err.Error()
	}
	pids := findDaemons(w.in.Root)["p-000"]
	if v := snapshot.Plugins[0]; v.State != plugin.StateRunning || v.Version != version || len(pids) != 1 {
		return version, notOne, fmt.Sprintf("%s recorded, status says %s %s, daemons %v", version, v.Version, v.State, pids)
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pids[0]))
	if err != nil || filepath.Dir(exe) != dir {
		return version, notOne, fmt.Sprintf("%s recorded, %s runs: %v", version, exe, err)
	}
	if pending, _ := filepath.Glob(layout.Note(w.in.Root, layout.Transactions, "*")); len(pending) > 0 {
		return version, unfinished, fmt.Sprint(pending)
	}
	if staged, _ := filepath.Glob(filepath.Join(layout.Staging(w.in.Root), "*")); len(staged) > 0 {
		return version, left, fmt.Sprint(staged)
	}
	return version, "", ""
}
