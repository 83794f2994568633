package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/tools/rig"
	"pluginsupervisor/plugin"
)

const version = "1.0"

// What must not happen. Each is in the table, also when it never did.
const (
	copies     = "copies of a plugin, seen"
	needless   = "restarts nobody needed"
	missing    = "restarts missing"
	forgotten  = "operator's stops forgotten"
	undone     = "operator's orders not carried out"
	unsettled  = "not at rest afterwards: a plugin, a status, a report"
	orphans    = "orphans left when all are stopped"
	damaged    = "files found damaged"
	unreadable = "books not readable"
)

var mustNot = [...]string{copies, needless, missing, forgotten, undone, unsettled, orphans, damaged, unreadable}

// world is what is soaked.
type world struct {
	options
	in     *rig.Installation
	tally  *tally
	client *admin.Client
	steady []string // run until they are killed
	flaps  []string // end by themselves
	told   string   // the steady one that the operator stops and starts

	mu     sync.Mutex
	rand   *rand.Rand
	needed map[string]int // births of the steady ones for which there was a reason
	plane  *rig.Child
	url    string
}

func (w *world) random(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rand.IntN(n)
}

func soak(ctx context.Context, o options, progress io.Writer) (_ *tally, err error) {
	in, err := rig.NewInstallation()
	if err != nil {
		return nil, err
	}
	w := &world{
		options: o, in: in, tally: &tally{}, rand: rand.New(rand.NewPCG(o.seed, 1)), needed: map[string]int{},
		client: admin.Dial(filepath.Join(in.Root, "supervisor", "supervisor.sock")),
	}
	defer func() {
		if w.plane != nil {
			err = errors.Join(err, w.plane.Stop())
		}
		err = errors.Join(err, in.Clear())
	}()
	for _, name := range mustNot {
		w.tally.never(name)
	}
	if w.log == "" {
		w.log = filepath.Join(in.Root, "supervisor.log")
	}
	if err := w.install(ctx); err != nil {
		return nil, err
	}
	if w.plane, w.url, err = rig.StartControlPlane(ctx, o.bin, in.Root); err != nil {
		return nil, err
	}
	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { watch(watching, in.Root, w.tally) })
	disturbing, calm := context.WithCancel(ctx)
	var disturbers sync.WaitGroup
	disturbers.Go(func() { w.killPlugins(disturbing) })
	disturbers.Go(func() { w.operate(disturbing) })
	err = w.killSupervisors(ctx, progress)
	calm()
	disturbers.Wait()
	if err == nil {
		err = w.judge(ctx)
	}
	done()
	beside.Wait()
	return w.tally, err
}

func (w *world) install(ctx context.Context) error {
	program := filepath.Join(w.in.Root, "naive")
	if err := rig.Build(ctx, "naive", program); err != nil {
		return err
	}
	like := registry.Record{Version: version, RunPath: "run", Type: plugin.Persist, Timeout: "10", HeartbeatInterval: 60}
	flapping := w.plugins / 4
	for kind, n := range map[string]int{"steady": w.plugins - flapping, "flap": flapping} {
		like.Name = kind
		paths, err := w.in.Install(ctx, n, program, like)
		if err != nil {
			return err
		}
		for _, path := range paths {
			name := filepath.Base(filepath.Dir(filepath.Dir(path)))
			if kind == "flap" {
				w.flaps = append(w.flaps, name)
				continue
			}
			w.steady = append(w.steady, name)
			w.needed[name] = 1
		}
	}
	w.told, w.steady = w.steady[0], w.steady[1:]
	delete(w.needed, w.told)
	return nil
}

// startSupervisor starts it; its log goes on where the last one's ended.
func (w *world) startSupervisor() (*rig.Child, error) {
	config := filepath.Join(w.in.Root, "supervisor.yaml")
	text := fmt.Sprintf(`root: %q
instance_id: soak
control_plane: {url: %q}
intervals: {scan: 1s, pull: 700ms, update: 5s, inventory: 10s}
first_run: {scan: 0s, pull: 300ms, update: 1s, inventory: 1s, jitter: 100ms}
avoid_window: 0s
restart: {stagger: 100ms, healthy_after: 1s, backoff_initial: 50ms, backoff_max: 500ms, burst: 1000, rate: 1000}
log: {level: info}
`, w.in.Root, w.url)
	if err := os.WriteFile(config, []byte(text), 0o640); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return rig.Spawn(filepath.Join(w.bin, "supervisor"), w.log, "run", "--config", config)
}

// killSupervisors is the point of it all.
func (w *world) killSupervisors(ctx context.Context, progress io.Writer) error {
	const report = 100
	for n := range w.kills {
		s, err := w.startSupervisor()
		if err != nil {
			return err
		}
		life := time.Duration(w.random(1000)) * time.Millisecond
		switch w.random(10) {
		case 0:
			life = time.Duration(w.random(20_000)) * time.Microsecond // while it starts
		case 1:
			life += 2 * time.Second // it has had its peace
		}
		err = s.Pass(ctx, life)
		s.Kill()
		if err != nil {
			return err
		}
		w.tally.add("supervisors killed", 1)
		if (n+1)%report == 0 {
			fmt.Fprintf(progress, "%d killed\n", n+1)
		}
	}
	return nil
}

// killPlugins kills a steady one now and then, whether a supervisor lives or not.
func (w *world) killPlugins(ctx context.Context) {
	for pass(ctx, time.Duration(100+w.random(900))*time.Millisecond) {
		name := w.steady[w.random(len(w.steady))]
		pids := daemons(w.in.Root)[name]
		if len(pids) != 1 || syscall.Kill(pids[0], syscall.SIGKILL) != nil {
			continue // it is coming back from the last time
		}
		w.mu.Lock()
		w.needed[name]++
		w.mu.Unlock()
		w.tally.add("plugins killed", 1)
	}
}

// operate stops one plugin and starts it, and has the control plane be away.
func (w *world) operate(ctx context.Context) {
	for pass(ctx, time.Duration(500+w.random(1500))*time.Millisecond) {
		if w.random(8) == 0 {
			w.restartPlane(ctx)
			continue
		}
		if _, err := w.client.Order(ctx, admin.OrderStop, w.told); err != nil {
			continue // no supervisor lives just now
		}
		w.tally.add("operator's stops", 1)
		// It may take a while, over the ends of several supervisors.
		for over := time.Now().Add(30 * time.Second); len(daemons(w.in.Root)[w.told]) > 0; {
			if !pass(ctx, 50*time.Millisecond) {
				break
			}
			if time.Now().After(over) {
				w.tally.never(undone, "stop "+w.told)
				break
			}
		}
		for range 10 { // and is kept over some more
			if !pass(ctx, 100*time.Millisecond) {
				break
			}
			if pids := daemons(w.in.Root)[w.told]; len(pids) > 0 {
				w.tally.never(forgotten, fmt.Sprint(w.told, pids))
				break
			}
		}
		for ctx.Err() == nil {
			if _, err := w.client.Order(ctx, admin.OrderStart, w.told); err == nil {
				break
			}
			pass(ctx, 20*time.Millisecond)
		}
	}
}

// restartPlane has no control plane for a while. It comes back at another
// address, which the next supervisor is told.
func (w *world) restartPlane(ctx context.Context) {
	w.mu.Lock()
	plane := w.plane
	w.mu.Unlock()
	plane.Kill()
	pass(ctx, time.Duration(w.random(3000))*time.Millisecond)
	_ = os.Remove(filepath.Join(w.in.Root, "controlplane.address"))
	next, url, err := rig.StartControlPlane(context.WithoutCancel(ctx), w.bin, w.in.Root)
	if err != nil {
		w.tally.never(undone, "start of the control plane: "+err.Error())
		return
	}
	w.mu.Lock()
	w.plane, w.url = next, url
	w.mu.Unlock()
	w.tally.add("control planes killed", 1)
}

func pass(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// all are the names of all plugins.
func (w *world) all() []string {
	return append(append([]string{w.told}, w.steady...), w.flaps...)
}

// logTail is the end of the last supervisor's log.
func (w *world) logTail() string {
	b, _ := os.ReadFile(w.log)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
