package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"pluginsupervisor/internal/install/unpack"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

// upgrades is the number of upgrades by the supervisor, and by the loop.
const upgrades = 100

// addUpgrades measures how long a plugin is away while it is upgraded.
func addUpgrades(ctx context.Context, o options, t *table, progress io.Writer) (err error) {
	fmt.Fprintf(progress, "%d upgrades, and as many by a loop …\n", upgrades)
	r, err := startDaemonTestbed(ctx, o, 1, 0)
	if err != nil {
		return notMeasured("upgrades", err)
	}
	defer func() { err = errors.Join(err, r.close()) }()
	began := time.Now()
	ours, err := r.measureUpgrades(ctx, r.upgradeBySupervisor)
	if err != nil {
		return notMeasured("upgrades", err)
	}
	took := time.Since(began)
	left, err := r.describeLeftovers()
	if err != nil {
		return notMeasured("upgrades", err)
	}
	if err := r.supervisor.Stop(); err != nil {
		return err
	}
	r.supervisor = nil
	loop, err := r.measureUpgrades(ctx, upgradeByLoop)
	if err != nil {
		return notMeasured("upgrades by a loop", err)
	}
	t.addSection(fmt.Sprintf("away during an upgrade from a package, %d in a row", upgrades))
	t.addRow("median", formatMilliseconds(ours.median()), "")
	t.addRow("p99", formatMilliseconds(ours.quantile(0.99)), "")
	t.addRow("beside: stop, delete, unpack, start by a loop, median", formatMilliseconds(loop.median()), "")
	t.addRow("beside: p99", formatMilliseconds(loop.quantile(0.99)), "")
	t.addRow("one upgrade in total, proven for 100 ms", formatMilliseconds(took/upgrades), "")
	t.addRow("left on the disk", left, "")
	return nil
}

// measureUpgrades upgrades the one plugin again and again, and measures the time
// from the exit of the old daemon to the first instruction of the new one.
func (r *daemonTestbed) measureUpgrades(ctx context.Context, upgrade func(ctx context.Context, pack, old, dir string) error) (spans, error) {
	var all spans
	for range upgrades {
		old := r.dirs[0]
		version := fmt.Sprintf("1.%d", time.Now().UnixNano())
		dir := filepath.Join(filepath.Dir(old), version)
		pack := filepath.Join(r.in.Root, version+".zip")
		if err := r.writePackage(pack, old, version); err != nil {
			return nil, err
		}
		pid, err := readNumber(old, "pid")
		if err != nil {
			return nil, err
		}
		died := make(chan time.Duration, 1)
		go func() { died <- waitExited(ctx, pid) }()
		if err := upgrade(ctx, pack, old, dir); err != nil {
			return nil, err
		}
		at := <-died
		back, err := waitStarted(ctx, dir, 0, aloneWithin)
		if err != nil {
			return nil, err
		}
		all = append(all, back-at)
		r.dirs[0] = dir
		if err := os.Remove(pack); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return all, nil
}

// waitExited waits until a process has exited, and returns the time.
func waitExited(ctx context.Context, pid int) time.Duration {
	const pause = 100 * time.Microsecond
	for ctx.Err() == nil && processRuns(pid) {
		time.Sleep(pause)
	}
	return readMonotonic()
}

// processRuns reports whether a process exists and is no zombie.
func processRuns(pid int) bool {
	state, err := os.ReadFile(procFile(pid, "cmdline"))
	return err == nil && len(state) > 0
}

// writePackage writes a package of another version of the plugin in a folder.
func (r *daemonTestbed) writePackage(path, from, version string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := zip.NewWriter(f)
	defer func() { err = errors.Join(err, w.Close(), f.Close()) }()
	config := fmt.Sprintf(`{"name":%q,"version":%q,"runPath":%q,"pluginType":"Persist","timeout":"10","heartbeatInterval":60}`,
		filepath.Base(filepath.Dir(from)), version, steady.RunPath)
	for _, name := range []string{layout.PackageConfig, steady.RunPath, "sampledaemon"} {
		body := []byte(config)
		if name != layout.PackageConfig {
			if body, err = os.ReadFile(filepath.Join(from, name)); err != nil {
				return err
			}
		}
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		to, err := w.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := to.Write(body); err != nil {
			return err
		}
	}
	return nil
}

// upgradeBySupervisor upgrades by a command to the running supervisor.
func (r *daemonTestbed) upgradeBySupervisor(ctx context.Context, pack, _, _ string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(r.bin, "supervisor"), "install", pack, "--wait", "--config", r.config).CombinedOutput()
	if err != nil {
		return fmt.Errorf("install: %w\n%s", err, out)
	}
	return nil
}

// upgradeByLoop upgrades without a transaction, so without a way back.
func upgradeByLoop(ctx context.Context, pack, old, dir string) error {
	pid, err := readNumber(old, "pid")
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	for processRuns(pid) && ctx.Err() == nil {
		time.Sleep(100 * time.Microsecond)
	}
	f, err := os.Open(pack)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = errors.Join(os.RemoveAll(old), os.Mkdir(dir, 0o755))
	}
	if err == nil {
		var p *pkgcheck.Package
		if p, err = pkgcheck.Check(f, info.Size(), pkgcheck.Limits{}); err == nil {
			err = unpack.Unpack(ctx, p, dir, nil)
		}
	}
	if err != nil {
		return err
	}
	start := exec.CommandContext(ctx, filepath.Join(dir, steady.RunPath), string(plugin.VerbStart))
	start.Env = append(os.Environ(), process.PluginEnv(dir, "")...)
	return start.Run()
}

// describeLeftovers returns the number of files that the upgrades left on the
// disk.
func (r *daemonTestbed) describeLeftovers() (string, error) {
	count := func(dir string) (int, error) {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		return len(entries), err
	}
	versions, err := count(filepath.Dir(r.dirs[0]))
	staged, err2 := count(layout.Staging(r.in.Root))
	open, err3 := count(layout.Notes(r.in.Root, layout.Transactions))
	return fmt.Sprintf("%d versions, %d staged, %d transactions", versions, staged, open), errors.Join(err, err2, err3)
}
