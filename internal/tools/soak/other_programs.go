package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/controlplane"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// The violations while other programs work on the same plugins.
const (
	lost            = "records lost, or of another version"
	undoneStops     = "stops undone before the next scan"
	wrongLastReport = "removed plugins whose last report is not REMOVED"
	failedCommands  = "commands that failed"
)

// gaps holds the times between a stop and the start that follows it.
var gaps = [...]time.Duration{10 * time.Millisecond, 2 * time.Second}

// sharedWorld is a supervisor on a root that other programs work on.
type sharedWorld struct {
	*world
	existing    *existingProgram
	environment []string // the environment of our command line

	mu        sync.Mutex
	installed map[string]string // version, by plugin
}

// soakOtherPrograms lets the steps of the existing program and our own commands work
// on the plugins of a supervisor, and counts violations.
func soakOtherPrograms(ctx context.Context, o options, progress io.Writer) (_ *tally, err error) {
	in, err := testbed.NewInstallation()
	if err != nil {
		return nil, err
	}
	w := &sharedWorld{
		world: &world{
			options: o, in: in, tally: &tally{}, rand: rand.New(rand.NewPCG(o.seed, 1)), client: admin.Dial(layout.Socket(in.Root)),
		},
		installed: map[string]string{},
	}
	for _, name := range []string{copies, overlaps, lost, undoneStops, wrongLastReport, failedCommands, unsettled, orphans, damaged, badExits} {
		w.tally.mustNot(name)
	}
	defer func() {
		if w.controlPlane != nil {
			err = errors.Join(err, w.controlPlane.Stop())
		}
		err = errors.Join(err, in.Clear())
	}()
	if err := w.prepareShared(ctx); err != nil {
		return nil, err
	}
	s, err := w.startSharedSupervisor()
	if err != nil {
		return nil, err
	}
	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { countCopies(watching, in.Root, w.tally) })
	deadline := time.Now().Add(o.beside)
	var drivers sync.WaitGroup
	for name := range w.installed {
		drivers.Go(func() {
			if w.waitSettled(ctx, name) == nil {
				w.operatePlugin(ctx, name, deadline)
			}
		})
	}
	busy, calm := context.WithCancel(ctx)
	beside.Go(func() { w.inspectPlugins(busy) })
	drivers.Wait()
	calm()
	fmt.Fprintln(progress, "all operations on the plugins are finished")
	err = w.verifyShared(ctx)
	done()
	beside.Wait()
	if failed := s.Stop(); failed != nil {
		w.tally.mustNot(badExits, failed.Error())
	}
	return w.tally, err
}

// prepareShared installs the plugins, starts the control plane, and creates the
// client for the existing program's reports.
func (w *sharedWorld) prepareShared(ctx context.Context) (err error) {
	w.existing = &existingProgram{in: w.in, program: filepath.Join(w.in.Root, "sampledaemon")}
	if w.log == "" {
		w.log = filepath.Join(w.in.Root, "supervisor.log")
	}
	if err := testbed.Build(ctx, "sampledaemon", w.existing.program); err != nil {
		return err
	}
	if w.controlPlane, w.url, err = testbed.StartControlPlane(ctx, w.bin, w.in.Root); err != nil {
		return err
	}
	w.existing.controlPlane, err = control.New(control.Config{URL: w.url, InstanceID: "beside"}, logger.Silent())
	for i := range w.plugins {
		name := fmt.Sprintf("p%d", i)
		if i%4 == 3 {
			name = fmt.Sprintf("slow%d", i)
		}
		w.installed[name] = "1.0"
		err = errors.Join(err, w.existing.install(ctx, name, "1.0", "2.0"))
	}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SUPERVISOR_") {
			w.environment = append(w.environment, kv)
		}
	}
	w.environment = append(w.environment, "SUPERVISOR_ROOT="+w.in.Root, "SUPERVISOR_INSTANCE_ID=beside", "SUPERVISOR_CONTROL_PLANE_URL="+w.url)
	return err
}

// besideScan is the scan period: long enough for a stop to last, and short enough
// for scans between a stop and a start.
const besideScan = 7 * time.Second

func (w *sharedWorld) startSharedSupervisor() (*testbed.Child, error) {
	config := filepath.Join(w.in.Root, "supervisor.yaml")
	text := fmt.Sprintf(`root: %q
instance_id: beside
control_plane: {url: %q}
intervals: {scan: %s, pull: 3s, update: 1h, inventory: 1h}
first_run: {scan: 0s, pull: 300ms, update: 1h, inventory: 1h, jitter: 100ms}
avoid_window: 0s
restart: {stagger: 300ms, healthy_after: 1s, backoff_initial: 50ms, backoff_max: 500ms, burst: 1000, rate: 1000, kill_grace: 500ms}
upgrade: {prove: 500ms}
log: {level: info}
`, w.in.Root, w.url, besideScan)
	if err := os.WriteFile(config, []byte(text), 0o640); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return testbed.Spawn(filepath.Join(w.bin, "supervisor"), w.log, "run", "--config", config)
}

// operatePlugin carries out one random operation after the other, each when the
// plugin has settled after the one before.
func (w *sharedWorld) operatePlugin(ctx context.Context, name string, deadline time.Time) {
	for time.Now().Before(deadline) && pause.Sleep(ctx, time.Duration(w.randomInt(1500))*time.Millisecond) == nil {
		what, err := w.doRandomOperation(ctx, name)
		if ctx.Err() != nil {
			return
		}
		w.tally.add(what, 1)
		if err != nil {
			w.tally.mustNot(failedCommands, fmt.Sprintf("%s of %s: %v", what, name, err))
		}
		if w.waitSettled(ctx, name) != nil {
			return
		}
	}
}

func (w *sharedWorld) doRandomOperation(ctx context.Context, name string) (what string, err error) {
	gap := gaps[w.randomInt(len(gaps))]
	other := map[string]string{"1.0": "2.0", "2.0": "1.0"}[w.installedVersion(name)]
	theirs := w.randomInt(2) == 0
	by := map[bool]string{true: "by theirs", false: "by ours"}[theirs]
	verb := func(v plugin.Verb) error { return w.runVerb(ctx, theirs, name, v) }
	switch w.randomInt(8) {
	case 0, 1:
		err = verb(plugin.VerbStop)
		if err == nil {
			err = pause.Sleep(ctx, gap)
		}
		return fmt.Sprintf("stopped and started %s, gap %v", by, gap), errors.Join(err, verb(plugin.VerbStart))
	case 2, 3:
		err = w.retryLocked(ctx, func() error { return w.existing.upgrade(ctx, name, other, gap) })
		w.setVersion(name, other)
		return fmt.Sprintf("upgraded by theirs, gap %v", gap), err
	case 4:
		if err = verb(plugin.VerbStop); err == nil {
			w.checkStaysDown(ctx, name)
		}
		return "stopped " + by + ", started by the scan", err
	case 5:
		return "removed and installed " + by, w.reinstall(ctx, theirs, name)
	case 6:
		_, err = w.client.RequestChange(ctx, plugin.Change{Name: name, Version: other, Origin: plugin.FromOperator})
		w.setVersion(name, other)
		return "upgraded by the supervisor", err
	default:
		for _, pid := range findDaemons(w.in.Root)[name] {
			err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
			for slices.Contains(findDaemons(w.in.Root)[name], pid) && pause.Sleep(ctx, time.Millisecond) == nil {
			}
		}
		return "daemons killed", err
	}
}

func (w *sharedWorld) installedVersion(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.installed[name]
}

func (w *sharedWorld) setVersion(name, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.installed[name] = version
}

// runVerb runs a verb of a plugin by the existing program or by ours.
func (w *sharedWorld) runVerb(ctx context.Context, theirs bool, name string, v plugin.Verb) error {
	return w.retryLocked(ctx, func() error {
		if theirs {
			return w.existing.execute(ctx, name, v)
		}
		return w.runCommand(ctx, "-e", "--local", "-P", name, "-p", string(v))
	})
}

// runCommand runs our command line. Its output goes to a file, which a daemon that
// it starts may keep open.
func (w *sharedWorld) runCommand(ctx context.Context, args ...string) error {
	const locked = 232
	said, err := os.CreateTemp(w.in.Root, "command-")
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "acs-plugin-manager"), args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = w.environment, w.in.Root, said, said
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == locked {
		return errLocked
	} else if err != nil {
		out, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

// retryLocked repeats an operation that failed because the lock was held, as its
// caller would.
func (w *sharedWorld) retryLocked(ctx context.Context, do func() error) (err error) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = do(); !errors.Is(err, errLocked) {
			return err
		}
		w.tally.add("… tried again, as the lock was held", 1)
		if err := pause.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return err
}

// checkStaysDown waits until a stopped plugin runs again, and counts a violation if
// it was not restarted by a scan.
func (w *sharedWorld) checkStaysDown(ctx context.Context, name string) {
	for len(findDaemons(w.in.Root)[name]) > 0 && pause.Sleep(ctx, time.Millisecond) == nil { // our `--stop` does not wait for that
	}
	if w.waitSettled(ctx, name) != nil {
		return
	}
	s, err := w.client.Status(ctx)
	i := slices.IndexFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name })
	if err != nil || i < 0 || s.Plugins[i].Why != "restarted after: --status: exit 1" {
		w.tally.mustNot(undoneStops, name+"\n"+w.readWhy(name))
	}
}

// reinstall removes a plugin, checks its status at the control plane, and installs
// and starts it again.
func (w *sharedWorld) reinstall(ctx context.Context, theirs bool, name string) error {
	w.countStarts(name)
	err := w.retryLocked(ctx, func() error {
		if theirs {
			return w.existing.remove(ctx, name)
		}
		return w.runCommand(ctx, "--remove", "-P", name)
	})
	if err != nil {
		return err
	}
	// A report that was being sent when the record was removed may arrive later; the
	// supervisor detects the removal within a second.
	const knows, keeps = 2 * time.Second, 3 * time.Second
	if err := pause.Sleep(ctx, knows); err != nil {
		return err
	}
	why := ""
	for deadline := time.Now().Add(keeps); why == "" && time.Now().Before(deadline) && pause.Sleep(ctx, 100*time.Millisecond) == nil; {
		why = w.checkReported(ctx, name, plugin.StatusRemoved)
	}
	if why != "" && ctx.Err() == nil {
		w.tally.mustNot(wrongLastReport, why+"\n"+w.readWhy(name))
	}
	err = w.retryLocked(ctx, func() error { return w.existing.install(ctx, name, "1.0", "2.0") })
	w.setVersion(name, "1.0")
	if err == nil {
		err = pause.Sleep(ctx, gaps[w.randomInt(len(gaps))])
	}
	if err == nil {
		err = w.runVerb(ctx, theirs, name, plugin.VerbStart)
	}
	return err
}

// inspectPlugins runs `--status` and `--list`, as an operator does.
func (w *sharedWorld) inspectPlugins(ctx context.Context) {
	names := []string{}
	for name := range w.installed {
		names = append(names, name)
	}
	for pause.Sleep(ctx, time.Duration(500+w.randomInt(1500))*time.Millisecond) == nil {
		name := names[w.randomInt(len(names))]
		switch w.randomInt(3) {
		case 0:
			_ = w.existing.execute(ctx, name, plugin.VerbStatus)
		case 1:
			_ = w.runCommand(ctx, "-e", "--local", "-P", name, "-p", "--status") // its exit code is the plugin's
		default:
			if err := w.runCommand(ctx, "--list", "--local"); err != nil && ctx.Err() == nil {
				w.tally.mustNot(failedCommands, err.Error())
			}
		}
		w.tally.add("inspections by other programs", 1)
	}
}

// waitSettled waits until one daemon of a plugin runs, in the expected version, and
// both the supervisor and the control plane report that.
func (w *sharedWorld) waitSettled(ctx context.Context, name string) error {
	const timeout = time.Minute
	why := ""
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if why = w.describeUnsettled(ctx, name); why == "" {
			return nil
		}
		if err := pause.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	w.tally.mustNot(unsettled, name+": "+why+"\n"+w.readWhy(name))
	return errors.New(why)
}

func (w *sharedWorld) describeUnsettled(ctx context.Context, name string) string {
	want := w.installedVersion(name)
	if pids := findDaemons(w.in.Root)[name]; len(pids) != 1 {
		return fmt.Sprintf("runs as %v", pids)
	}
	s, err := w.client.Status(ctx)
	if err != nil {
		return err.Error()
	}
	i := slices.IndexFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name })
	switch {
	case i < 0:
		return "not in status"
	case s.Plugins[i].State != plugin.StateRunning || s.Plugins[i].Version != want:
		return fmt.Sprintf("status says %s %s: %s", s.Plugins[i].Version, s.Plugins[i].State, s.Plugins[i].Why)
	}
	return w.checkReported(ctx, name, plugin.StatusRunning)
}

// checkReported returns "" if the control plane has this status of a plugin, else
// the status that it has.
func (w *sharedWorld) checkReported(ctx context.Context, name string, status plugin.Status) string {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/hosts", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var list controlplane.HostList
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err.Error()
	}
	for _, h := range list.Hosts {
		for _, p := range h.Plugins {
			if p.Name == name && p.Status == status {
				return ""
			} else if p.Name == name {
				return fmt.Sprintf("%s is %s to the control plane, not %s", name, p.Status, status)
			}
		}
	}
	return name + " is unknown to the control plane"
}

// countStarts counts the starts and the copies that a plugin's daemons recorded.
func (w *sharedWorld) countStarts(name string) {
	for _, v := range []string{"1.0", "2.0"} {
		b, _ := os.ReadFile(filepath.Join(layout.Version(w.in.Root, name, v), "births"))
		for line := range strings.Lines(string(b)) {
			w.tally.add("daemons", 1)
			if strings.HasSuffix(strings.TrimSpace(line), "copy") {
				w.tally.mustNot(overlaps, name+" "+v+" "+line+w.readWhy(name))
			}
		}
	}
}

// verifyShared compares the state of the host with the operations.
func (w *sharedWorld) verifyShared(ctx context.Context) error {
	list, err := w.in.Registry.List(ctx)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for name := range w.installed {
		all.Go(func() { _ = w.waitSettled(ctx, name) }) // it counts a plugin that does not settle
	}
	all.Wait()
	for name, version := range w.installed {
		w.countStarts(name)
		if !slices.ContainsFunc(list.Plugins, func(p plugin.Plugin) bool {
			return p.Name == name && p.Version == version && !p.Removed && !p.Duplicate
		}) {
			w.tally.mustNot(lost, name+" "+version)
		}
	}
	for _, d := range list.Damaged {
		w.tally.mustNot(damaged, d.Why)
	}
	for name := range w.installed {
		if _, err := w.client.SendCommand(ctx, admin.CommandStop, name); err != nil {
			w.tally.mustNot(failedCommands, err.Error())
		}
	}
	for deadline := time.Now().Add(30 * time.Second); len(findDaemons(w.in.Root)) > 0; {
		if time.Now().After(deadline) {
			w.tally.mustNot(orphans, fmt.Sprint(findDaemons(w.in.Root)))
			break
		}
		if err := pause.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
