package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// Upgrade makes an unpacked version the one that is recorded and runs:
//
//	--stop the old one ──▶ switch the record ──▶ --upgrade ──▶ --status ──not running──▶ --start ──▶ --status
//
// Before the switch a failure leaves the old version recorded, and started
// again if it was stopped. After it the new version stays recorded, whatever
// its verbs say: the record always names the version that is to run, so a
// later scan finishes what a shutdown in between has left (UP-06, UP-08).
func (m *Manager) Upgrade(ctx context.Context, o plugin.Offer) plugin.Upgraded {
	p, err := m.plan(ctx, o)
	if err != nil {
		return p.refuse(err)
	}
	release, _, err := m.lock(ctx, o.Name, lock.Exclusive)
	if err != nil {
		return p.refuse(err)
	}
	defer release()
	if p, err = m.plan(ctx, o); err != nil { // once more: now nobody else changes it
		return p.refuse(err)
	}
	result := m.carryOut(ctx, p)
	result.Outcome = m.running(result.Plugin, result.Outcome)
	return result
}

// upgrade is what an offer comes to on this host.
type upgrade struct {
	offer    plugin.Offer
	old      registry.Record // the record before; the zero value if there is none
	had      bool            // there is one
	previous string          // the old version's folder, "" if there is none
	next     registry.Record
}

// plan looks what there is to do, and refuses what cannot or may not be done.
func (m *Manager) plan(ctx context.Context, o plugin.Offer) (u upgrade, err error) {
	u.offer = o
	if err := plugin.CheckName(o.Name); err != nil {
		return u, err
	}
	if err := plugin.CheckName(o.Version); err != nil {
		return u, fmt.Errorf("version: %w", err)
	}
	if u.old, u.had, err = m.registry.Find(ctx, o.Name); err != nil {
		return u, err
	}
	if u.had && !m.downgrade && plugin.CompareVersions(o.Version, u.old.Version) <= 0 {
		return u, fmt.Errorf("version %s is not newer than the installed %s, and upgrade.allow_downgrade is off", o.Version, u.old.Version)
	}
	config, err := registry.ReadPackageConfig(m.dir(o.Name, o.Version))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u, fmt.Errorf("version %s is not unpacked on this host: %w", o.Version, err)
	case err != nil:
		return u, err
	case config.Name != o.Name || config.Version != o.Version:
		return u, fmt.Errorf("package is %s %s, not %s %s", config.Name, config.Version, o.Name, o.Version)
	}
	if err := config.Accepted(m.os, m.arch); err != nil {
		return u, err
	}
	u.next = config.Record()
	u.next.PluginID, u.next.IsPreInstalled = u.old.PluginID, u.old.IsPreInstalled // a package does not tell
	if _, err := m.executable(u.next.Plugin()); err != nil {
		return u, err
	}
	if u.had {
		if dir := m.dir(u.old.Name, u.old.Version); isFolder(dir) {
			u.previous = dir
		}
	}
	return u, nil
}

// refuse is the result when nothing was touched.
func (u upgrade) refuse(err error) plugin.Upgraded {
	r := u.begin()
	r.Outcome = failed(plugin.VerbUpgrade, err)
	return r
}

func (u upgrade) begin() plugin.Upgraded {
	r := plugin.Upgraded{Previous: u.old.Version}
	if u.had {
		r.Plugin = u.old.Plugin()
	}
	return r
}

func (m *Manager) carryOut(ctx context.Context, u upgrade) plugin.Upgraded {
	result := u.begin()
	old := u.old.Plugin()
	runs := u.had && u.previous != "" && old.Type == plugin.Persist
	if runs {
		if result.Outcome = m.end(ctx, old); result.Err != nil {
			result.Err = fmt.Errorf("--stop of %s: %w", old.Version, result.Err)
			result.Status = m.Check(ctx, old).Status
			return result
		}
	}
	id, err := m.registry.Put(ctx, u.next)
	if err != nil {
		result.Outcome = failed(plugin.VerbUpgrade, fmt.Errorf("switch the record: %w", err))
		if runs {
			_, result.Status = m.bringUp(ctx, old)
		}
		return result
	}
	u.next.ID = id
	result.Plugin, result.SysTag = u.next.Plugin(), u.sysTag()

	result.Outcome = m.do(ctx, order{
		plugin: result.Plugin, verb: plugin.VerbUpgrade, previous: u.previous, timeout: u.timeout(),
	})
	if result.Err != nil {
		result.Err = fmt.Errorf("--upgrade to %s: %w", u.offer.Version, result.Err)
	}
	started, status := m.bringUp(ctx, result.Plugin)
	if result.Status = status; result.Err == nil && started.Err != nil {
		started.Err = fmt.Errorf("%s of %s: %w", started.Verb, u.offer.Version, started.Err)
		result.Outcome = started
	}
	return result
}

// bringUp sees to it that a Persist plugin runs: `--status`, and if that
// fails `--start` and `--status` again. Without a failure the outcome has no Err.
func (m *Manager) bringUp(ctx context.Context, p plugin.Plugin) (plugin.Outcome, plugin.Status) {
	switch p.Type {
	case plugin.Persist:
	case plugin.Once:
		return plugin.Outcome{}, plugin.StatusInstalled
	default:
		return plugin.Outcome{}, plugin.StatusUnknown
	}
	switch m.Check(ctx, p).Status {
	case plugin.StatusRunning:
		return plugin.Outcome{}, plugin.StatusRunning
	case plugin.StatusUnknown:
		return failed(plugin.VerbStatus, cutShort(ctx)), plugin.StatusUnknown
	}
	outcome := m.do(ctx, order{plugin: p, verb: plugin.VerbStart})
	probe := m.Check(ctx, p)
	switch {
	case probe.Status == plugin.StatusRunning: // it has the last word
		outcome.Err = nil
	case outcome.Err == nil:
		outcome.Err = fmt.Errorf("not running afterwards: %s", probe.Cause)
	}
	return outcome, probe.Status
}

// timeout is the deadline of `--upgrade`; the other verbs have their record's (UP-06).
func (u upgrade) timeout() time.Duration {
	if u.offer.Timeout > 0 {
		return u.offer.Timeout
	}
	return plugin.DefaultTimeout
}

// sysTag is what the host's tag becomes by the switch (SPEC 3).
func (u upgrade) sysTag() plugin.SysTag {
	switch {
	case u.next.AddSysTag:
		return plugin.SysTagAdd
	case u.old.AddSysTag:
		return plugin.SysTagRemove
	default:
		return plugin.SysTagNone
	}
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
