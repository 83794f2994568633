package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

const version = "1.0"

// The violations. Each is in the table, also when its count is 0.
const (
	copies           = "copies of a plugin, observed"
	overlaps         = "copies of a plugin, recorded by their daemons"
	needless         = "needless restarts"
	missing          = "restarts missing"
	forgotten        = "operators' stops forgotten"
	failedOperations = "operators' commands not carried out"
	unsettled        = "not settled afterwards: a plugin, a status, a report"
	unknownDaemons   = "daemons that status does not know"
	orphans          = "orphans left when all are stopped"
	acceptedSeconds  = "second supervisors not refused"
	unreported       = "stops that the control plane did not receive"
	cgroupsLeft      = "cgroups left when all are stopped"
	badExits         = "failed stops of the supervisor"
	damaged          = "files found damaged"
	unreadable       = "records of starts, or journals, not readable"
)

var violations = [...]string{
	copies, overlaps, needless, missing, forgotten, failedOperations, unsettled, unknownDaemons, orphans, acceptedSeconds, unreported, cgroupsLeft, badExits, damaged, unreadable,
}

// world is the host under test.
type world struct {
	options
	in       *testbed.Installation
	disk     *smallDisk
	tally    *tally
	client   *admin.Client
	steady   []string      // plugins that run until they are killed
	flapping []string      // plugins that exit by themselves
	hanging  []string      // plugins that hang in some verbs
	operated []string      // plugins that the operator stops and starts
	killNow  chan struct{} // kills the supervisor at once

	mu           sync.Mutex
	rand         *rand.Rand
	killed       map[string]int // the last killed pid of each steady plugin
	torn         int            // torn lines of the journal
	neededStarts map[string]int // starts of the steady plugins for which there was a reason
	url          string
	controlPlane *testbed.Child // not under mu: only restartControlPlanes changes it
}

func (w *world) randomInt(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(n)
}

func soakSupervisor(ctx context.Context, o options, progress io.Writer) (_ *tally, err error) {
	in, err := testbed.NewInstallation()
	if err != nil {
		return nil, err
	}
	disk, err := mountSmallDisk(in.Root)
	if err != nil {
		fmt.Fprintf(progress, "no disk is filled: %v\n", err)
	}
	w := &world{
		options: o, in: in, disk: disk, tally: &tally{}, rand: rand.New(rand.NewPCG(o.seed, 1)), neededStarts: map[string]int{}, killed: map[string]int{},
		killNow: make(chan struct{}, 1),
		client:  admin.Dial(layout.Socket(in.Root)),
	}
	defer func() {
		if w.controlPlane != nil {
			err = errors.Join(err, w.controlPlane.Stop())
		}
		err = errors.Join(err, disk.unmount(), in.Clear())
	}()
	for _, name := range violations {
		w.tally.mustNot(name)
	}
	if w.log == "" {
		w.log = filepath.Join(in.Root, "supervisor.log")
	}
	if err := w.installPlugins(ctx); err != nil {
		return nil, err
	}
	if w.controlPlane, w.url, err = testbed.StartControlPlane(ctx, o.bin, in.Root); err != nil {
		return nil, err
	}
	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { countCopies(watching, in.Root, w.tally) })
	disturbing, calm := context.WithCancel(ctx)
	var disturbers sync.WaitGroup
	disturbers.Go(func() { w.killPlugins(disturbing) })
	for _, name := range w.operated {
		disturbers.Go(func() { w.operatePlugin(disturbing, name) })
	}
	disturbers.Go(func() { w.restartControlPlanes(disturbing) })
	disturbers.Go(func() { w.fillDisk(disturbing) })
	err = w.killSupervisors(ctx, progress)
	calm()
	disturbers.Wait()
	if err == nil {
		err = w.verify(ctx)
	}
	done()
	beside.Wait()
	return w.tally, err
}

func (w *world) installPlugins(ctx context.Context) error {
	program := filepath.Join(w.in.Root, "sampledaemon")
	if err := testbed.Build(ctx, "sampledaemon", program); err != nil {
		return err
	}
	like := record.Record{Version: version, RunPath: "run", Type: plugin.Persist, Timeout: "10", HeartbeatInterval: 60}
	few, hung := w.plugins/4, w.plugins/8
	for kind, n := range map[string]int{"steady": w.plugins - 2*few - hung, "slow": few, "flap": few, "hang": hung} {
		like.Name, like.Timeout = kind, "10"
		if kind == "hang" {
			like.Timeout = "1"
		}
		paths, err := w.in.Install(ctx, n, program, like)
		if err != nil {
			return err
		}
		for _, path := range paths {
			name := filepath.Base(filepath.Dir(filepath.Dir(path)))
			switch kind {
			case "flap":
				w.flapping = append(w.flapping, name)
				continue
			case "hang":
				w.hanging = append(w.hanging, name)
				continue
			}
			w.steady = append(w.steady, name)
			w.neededStarts[name] = 1
		}
	}
	// The operator gets one of each kind: a steady plugin and a slow one.
	slices.Sort(w.steady)
	w.operated = []string{w.steady[0], w.steady[len(w.steady)-1]}
	w.steady = w.steady[1 : len(w.steady)-1]
	for _, name := range w.operated {
		delete(w.neededStarts, name)
	}
	return nil
}

// startSupervisor starts a supervisor, which appends to the log.
func (w *world) startSupervisor() (*testbed.Child, error) {
	w.mu.Lock()
	url := w.url
	w.mu.Unlock()
	config := filepath.Join(w.in.Root, "supervisor.yaml")
	text := fmt.Sprintf(`root: %q
instance_id: soak
control_plane: {url: %q}
intervals: {scan: 1s, pull: 700ms, update: 5s, inventory: 10s}
first_run: {scan: 0s, pull: 300ms, update: 1s, inventory: 1s, jitter: 100ms}
avoid_window: 0s
restart: {stagger: 100ms, healthy_after: 1s, backoff_initial: 50ms, backoff_max: 500ms, burst: 1000, rate: 1000, kill_grace: 500ms}
upgrade: {prove: 100ms}
log: {level: info}
`, w.in.Root, url)
	if err := os.WriteFile(config, []byte(text), 0o640); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return testbed.Spawn(filepath.Join(w.bin, "supervisor"), w.log, "run", "--config", config)
}

// pluginNames returns the names of all plugins.
func (w *world) pluginNames() []string {
	return slices.Concat(w.operated, w.steady, w.flapping, w.hanging)
}

// logTail returns the last lines of the supervisors' log that contain name.
func (w *world) logTail(name string) string {
	b, _ := os.ReadFile(w.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, name) })
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
