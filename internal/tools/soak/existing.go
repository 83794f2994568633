package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// existingProgram works on plugins as the existing command-line program does: with its
// locks, its order of steps, and its reports. It holds a plugin's name lock shared
// for a verb and for an upgrade, and exclusively for a removal.
type existingProgram struct {
	in           *testbed.Installation
	controlPlane *control.Client
	program      string // of every version of every plugin
}

// errLocked is the error where the existing program exits with 232.
var errLocked = errors.New("232: the name lock is held")

// withLock does work under a plugin's name lock. It does not wait for the lock.
func (e *existingProgram) withLock(name string, exclusive bool, work func() error) (err error) {
	path := layout.NameLock(e.in.Root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	} else if err != nil {
		return err
	}
	return work()
}

// runVerb runs a verb of a version. After `--stop` it waits until the daemon has
// exited.
func (e *existingProgram) runVerb(ctx context.Context, name, version string, verb plugin.Verb) error {
	dir := layout.Version(e.in.Root, name, version)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "run"), string(verb))
	cmd.Env = append(os.Environ(), "PLUGIN_DIR="+dir)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s of %s %s: %w", verb, name, version, err)
	}
	for verb == plugin.VerbStop && len(findDaemons(e.in.Root)[name]) > 0 {
		if err := pause.Sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// execute runs one verb: `--exec --local -P NAME -p VERB`.
func (e *existingProgram) execute(ctx context.Context, name string, verb plugin.Verb) error {
	return e.withLock(name, false, func() error {
		r, found, err := e.in.Registry.Find(ctx, name)
		if err != nil || !found {
			return fmt.Errorf("234: %s is not installed: %w", name, err)
		}
		if err := e.runVerb(ctx, name, r.Version, verb); err != nil && verb != plugin.VerbStatus {
			return err
		}
		status := plugin.StatusRunning
		if e.runVerb(ctx, name, r.Version, plugin.VerbStatus) != nil {
			status = plugin.StatusFailed
		}
		if verb != plugin.VerbStatus {
			e.report(ctx, name, r.Version, status)
		}
		return nil
	})
}

// upgrade switches to another unpacked version. No daemon runs during the gap.
func (e *existingProgram) upgrade(ctx context.Context, name, version string, gap time.Duration) error {
	return e.withLock(name, false, func() error {
		r, found, err := e.in.Registry.Find(ctx, name)
		if err != nil || !found {
			return fmt.Errorf("234: %s is not installed: %w", name, err)
		}
		if err := e.runVerb(ctx, name, r.Version, plugin.VerbStop); err != nil {
			return err
		}
		err = pause.Sleep(ctx, gap)
		if err == nil {
			r.Version = version
			_, err = e.in.Registry.Put(ctx, r)
		}
		if err == nil {
			err = e.runVerb(ctx, name, version, plugin.VerbStart)
		}
		if err == nil {
			e.report(ctx, name, version, plugin.StatusRunning)
		}
		return err
	})
}

// remove removes a plugin: it runs the verbs, marks the record, reports, and deletes
// the folder.
func (e *existingProgram) remove(ctx context.Context, name string) error {
	return e.withLock(name, true, func() error {
		r, found, err := e.in.Registry.Find(ctx, name)
		if err != nil || !found {
			return fmt.Errorf("234: %s is not installed: %w", name, err)
		}
		err = e.runVerb(ctx, name, r.Version, plugin.VerbStop)
		if err == nil {
			err = e.runVerb(ctx, name, r.Version, plugin.VerbUninstall)
		}
		if err == nil {
			err = e.in.Registry.MarkRemoved(ctx, name)
		}
		if err != nil {
			return err
		}
		e.report(ctx, name, r.Version, plugin.StatusRemoved)
		return os.RemoveAll(layout.Plugin(e.in.Root, name))
	})
}

// install unpacks the versions of a plugin and records the first.
func (e *existingProgram) install(ctx context.Context, name string, versions ...string) error {
	return e.withLock(name, true, func() error {
		for _, v := range versions {
			dir := layout.Version(e.in.Root, name, v)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			config := fmt.Sprintf(`{"name":%q,"version":%q,"runPath":"run","pluginType":"Persist","timeout":"10"}`, name, v)
			err := os.WriteFile(filepath.Join(dir, layout.PackageConfig), []byte(config), 0o644)
			if err = errors.Join(err, os.Link(e.program, filepath.Join(dir, "run"))); err != nil {
				return err
			}
		}
		_, err := e.in.Registry.Put(ctx, record.Record{
			Name: name, Version: versions[0], RunPath: "run", Type: plugin.Persist, Timeout: "10", HeartbeatInterval: 60,
		})
		return err
	})
}

// report sends a status to the control plane, with the tries of the existing
// program.
func (e *existingProgram) report(ctx context.Context, name, version string, status plugin.Status) {
	for range 4 {
		_, err := e.controlPlane.Report(ctx, plugin.Report{Entries: []plugin.ReportEntry{{Name: name, Version: version, Status: status}}})
		if err == nil || pause.Sleep(ctx, 2*time.Second) != nil {
			return
		}
	}
}
