package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/state"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// killSupervisors is the point of it all.
func (w *world) killSupervisors(ctx context.Context, progress io.Writer) error {
	const report = 100
	for n := range w.kills {
		s, err := w.startSupervisor()
		if err != nil {
			return err
		}
		life := time.Duration(w.randomInt(1000)) * time.Millisecond
		switch w.randomInt(10) {
		case 0, 1:
			life = time.Duration(w.randomInt(20_000)) * time.Microsecond // while it starts
		case 2:
			life = time.Duration(w.randomInt(100_000)) * time.Microsecond // while it takes over
		}
		if n%5 == 4 {
			err = w.compareStatus(ctx, s)
		} else {
			err = w.runFor(ctx, s, life)
		}
		if err == nil && n%25 == 24 {
			err = w.trySecondSupervisor(ctx, s)
		}
		s.Kill()
		if err != nil {
			return err
		}
		w.tally.add("supervisors killed", 1)
		if w.randomInt(5) == 0 { // no supervisor sees it
			w.killSteady(1 + w.randomInt(3))
		}
		if n%10 == 9 {
			w.verifyJournal()
		}
		if (n+1)%report == 0 {
			fmt.Fprintf(progress, "%d killed\n", n+1)
		}
	}
	return nil
}

// runFor runs the supervisor for that long, or until it is interrupted.
func (w *world) runFor(ctx context.Context, s *testbed.Child, life time.Duration) error {
	select {
	case <-w.killNow: // it was about the one before
	default:
	}
	living, cut := context.WithCancel(ctx)
	defer cut()
	go func() {
		select {
		case <-w.killNow:
			cut()
		case <-living.Done():
		}
	}()
	if err := s.Pass(living, life); err != nil && (ctx.Err() != nil || living.Err() == nil) {
		return err
	}
	return nil
}

// compareStatus has the supervisor live long enough to know what runs, through some
// scans, and compares what it says with that.
func (w *world) compareStatus(ctx context.Context, s *testbed.Child) error {
	if err := s.Pass(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	before := findDaemons(w.in.Root)
	if err := s.Pass(ctx, 2500*time.Millisecond); err != nil {
		return err
	}
	snapshot, err := w.client.Status(ctx)
	if err != nil {
		return nil // a slow machine: it is still starting
	}
	after := findDaemons(w.in.Root)
	for _, v := range snapshot.Plugins {
		is := after[v.Name]
		if len(is) == 1 && slices.Equal(is, before[v.Name]) && slices.Contains(w.steady, v.Name) && !slices.Equal(v.PIDs, is) {
			w.tally.mustNot(unknownDaemons, fmt.Sprintf("%s runs as %v, status says %v\n%s%s", v.Name, is, v.PIDs, w.readWhy(v.Name), w.logTail("")))
		}
	}
	w.tally.add("looks at status", 1)
	return nil
}

// trySecondSupervisor runs another supervisor on the same root, which must refuse and name
// the first (EV-15).
func (w *world) trySecondSupervisor(ctx context.Context, first *testbed.Child) error {
	ctx, cancel := context.WithTimeout(ctx, testbed.SettleWithin)
	defer cancel()
	// The first has to have had the time to take the root.
	for _, err := w.client.Status(ctx); err != nil; _, err = w.client.Status(ctx) {
		if err := first.Pass(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	config := filepath.Join(w.in.Root, "supervisor.yaml")
	said, err := exec.CommandContext(ctx, filepath.Join(w.bin, "supervisor"), "run", "--config", config).CombinedOutput()
	failed := (*exec.ExitError)(nil)
	if !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(string(said), fmt.Sprintf("process %d", first.PID())) {
		w.tally.mustNot(acceptedSeconds, fmt.Sprintf("beside %d: %v: %s", first.PID(), err, said))
	}
	w.tally.add("second supervisors tried", 1)
	return nil
}

// verifyJournal reads the journal as a kill has left it. One line may be torn.
func (w *world) verifyJournal() {
	_, err := state.ReadJournal(layout.Supervisor(w.in.Root), state.Filter{})
	torn := (*state.SkippedError)(nil)
	if err != nil && (!errors.As(err, &torn) || torn.Lines > w.kills) {
		w.tally.mustNot(unreadable, "journal: "+err.Error())
	}
	if torn != nil {
		w.mu.Lock()
		w.torn = max(w.torn, torn.Lines)
		w.mu.Unlock()
	}
}

// killPlugins kills steady ones now and then, whether a supervisor runs or not.
func (w *world) killPlugins(ctx context.Context) {
	for pause.Sleep(ctx, time.Duration(100+w.randomInt(900))*time.Millisecond) == nil {
		n := 1
		if w.randomInt(10) == 0 {
			n = 6 // enough to be the host's fault (EV-13)
		}
		w.killSteady(n)
	}
}

// killSteady kills that many steady plugins, by chance fewer.
func (w *world) killSteady(n int) {
	is := findDaemons(w.in.Root)
	for range n {
		name := w.steady[w.randomInt(len(w.steady))]
		pids := is[name]
		delete(is, name)
		if len(pids) != 1 || !hasRecordedStart(w.in.Root, name, pids[0]) {
			continue // it is coming back from the last time
		}
		w.mu.Lock()
		if syscall.Kill(pids[0], syscall.SIGKILL) == nil && w.killed[name] != pids[0] {
			w.killed[name] = pids[0]
			w.neededStarts[name]++
			w.tally.add("plugins killed", 1)
		}
		w.mu.Unlock()
	}
}

// operatePlugin stops a plugin and starts it, over and over.
func (w *world) operatePlugin(ctx context.Context, name string) {
	for pause.Sleep(ctx, time.Duration(w.randomInt(1500))*time.Millisecond) == nil {
		if w.sendCommand(ctx, admin.CommandStop, name) != nil {
			continue // no supervisor runs now
		}
		// It may take a while, over the ends of several supervisors.
		for over := time.Now().Add(30 * time.Second); !w.isStopped(ctx, name); {
			if pause.Sleep(ctx, 50*time.Millisecond) != nil {
				return
			}
			if time.Now().After(over) {
				w.tally.mustNot(failedOperations, "stop "+name+"\n"+w.readWhy(name)+w.logTail(name))
				break
			}
		}
		for range 10 + w.randomInt(20) { // and is kept over some more
			if pause.Sleep(ctx, 100*time.Millisecond) != nil {
				return
			}
			if pids := findDaemons(w.in.Root)[name]; len(pids) > 0 {
				w.tally.mustNot(forgotten, fmt.Sprint(name, pids, "\n", w.readWhy(name)))
				break
			}
		}
		for w.sendCommand(ctx, admin.CommandStart, name) != nil {
			if pause.Sleep(ctx, 20*time.Millisecond) != nil {
				return
			}
		}
	}
}

// isStopped reports whether a plugin is stopped, as a supervisor says and as is: a
// start that was under way has come to its end as well.
func (w *world) isStopped(ctx context.Context, name string) bool {
	s, err := w.client.Status(ctx)
	return err == nil && len(findProcesses(w.in.Root, "daemon", "--start")[name]) == 0 &&
		slices.ContainsFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name && v.State == plugin.StateStopped })
}

// sendCommand gives an operator's order. Now and then the supervisor that has
// accepted it is killed before it does so.
func (w *world) sendCommand(ctx context.Context, o admin.Command, name string) error {
	if _, err := w.client.SendCommand(ctx, o, name); err != nil {
		return err
	}
	w.tally.add("operator's orders accepted", 1)
	if w.randomInt(2) == 0 {
		_ = pause.Sleep(ctx, time.Duration(w.randomInt(8000))*time.Microsecond)
		select {
		case w.killNow <- struct{}{}:
			w.tally.add("supervisors killed right after an order", 1)
		default:
		}
	}
	return nil
}

// restartControlPlanes has no control plane for a while, now and then. It comes back
// at another address, which the next supervisor is given.
func (w *world) restartControlPlanes(ctx context.Context) {
	for pause.Sleep(ctx, time.Duration(2+w.randomInt(10))*time.Second) == nil {
		w.controlPlane.Kill()
		_ = pause.Sleep(ctx, time.Duration(w.randomInt(3000))*time.Millisecond)
		_ = os.Remove(filepath.Join(w.in.Root, "controlplane.address"))
		next, url, err := testbed.StartControlPlane(context.WithoutCancel(ctx), w.bin, w.in.Root)
		if err != nil {
			w.tally.mustNot(failedOperations, "start of the control plane: "+err.Error())
			return
		}
		w.controlPlane = next
		w.mu.Lock()
		w.url = url
		w.mu.Unlock()
		w.tally.add("control planes killed", 1)
	}
}
