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

// killSupervisors starts supervisors and kills each after a random time.
func (w *world) killSupervisors(ctx context.Context, progress io.Writer) error {
	const report = 100
	for n := range w.kills {
		s, err := w.startSupervisor()
		if err != nil {
			return err
		}
		runTime := time.Duration(w.randomInt(1000)) * time.Millisecond
		switch w.randomInt(10) {
		case 0, 1:
			runTime = time.Duration(w.randomInt(20_000)) * time.Microsecond // during its start
		case 2:
			runTime = time.Duration(w.randomInt(100_000)) * time.Microsecond // during its re-attachment
		}
		if n%5 == 4 {
			err = w.compareStatus(ctx, s)
		} else {
			err = w.runFor(ctx, s, runTime)
		}
		if err == nil && n%25 == 24 {
			err = w.trySecondSupervisor(ctx, s)
		}
		s.Kill()
		if err != nil {
			return err
		}
		w.tally.add("supervisors killed", 1)
		if w.randomInt(5) == 0 { // while no supervisor runs
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

// runFor lets the supervisor run for a time, or until killNow interrupts it.
func (w *world) runFor(ctx context.Context, s *testbed.Child, runTime time.Duration) error {
	select {
	case <-w.killNow: // it was meant for the previous supervisor
	default:
	}
	running, cut := context.WithCancel(ctx)
	defer cut()
	go func() {
		select {
		case <-w.killNow:
			cut()
		case <-running.Done():
		}
	}()
	if err := s.Pass(running, runTime); err != nil && (ctx.Err() != nil || running.Err() == nil) {
		return err
	}
	return nil
}

// compareStatus runs the supervisor for some scans, and compares its status with the
// running daemons.
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
	w.tally.add("statuses compared", 1)
	return nil
}

// trySecondSupervisor runs another supervisor on the same root, which must refuse and name
// the first (EV-15).
func (w *world) trySecondSupervisor(ctx context.Context, first *testbed.Child) error {
	ctx, cancel := context.WithTimeout(ctx, testbed.SettleWithin)
	defer cancel()
	// The first one has to hold the root.
	for _, err := w.client.Status(ctx); err != nil; _, err = w.client.Status(ctx) {
		if err := first.Pass(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	config := filepath.Join(w.in.Root, "supervisor.yaml")
	output, err := exec.CommandContext(ctx, filepath.Join(w.bin, "supervisor"), "run", "--config", config).CombinedOutput()
	failed := (*exec.ExitError)(nil)
	if !errors.As(err, &failed) || failed.ExitCode() != 1 || !strings.Contains(string(output), fmt.Sprintf("process %d", first.PID())) {
		w.tally.mustNot(acceptedSeconds, fmt.Sprintf("beside %d: %v: %s", first.PID(), err, output))
	}
	w.tally.add("second supervisors tried", 1)
	return nil
}

// verifyJournal reads the journal after a kill. Each kill may leave one torn line.
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

// killPlugins kills steady plugins now and then, whether a supervisor runs or not.
func (w *world) killPlugins(ctx context.Context) {
	for pause.Sleep(ctx, time.Duration(100+w.randomInt(900))*time.Millisecond) == nil {
		n := 1
		if w.randomInt(10) == 0 {
			n = 6 // enough to count as a fault of the host (EV-13)
		}
		w.killSteady(n)
	}
}

// killSteady kills n steady plugins, or fewer if some are not running.
func (w *world) killSteady(n int) {
	is := findDaemons(w.in.Root)
	for range n {
		name := w.steady[w.randomInt(len(w.steady))]
		pids := is[name]
		delete(is, name)
		if len(pids) != 1 || !hasRecordedStart(w.in.Root, name, pids[0]) {
			continue // it is being restarted
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

// operatePlugin stops and starts a plugin, again and again.
func (w *world) operatePlugin(ctx context.Context, name string) {
	for pause.Sleep(ctx, time.Duration(w.randomInt(1500))*time.Millisecond) == nil {
		if w.sendCommand(ctx, admin.CommandStop, name) != nil {
			continue // no supervisor runs now
		}
		// It may take a while, over the kills of several supervisors.
		for deadline := time.Now().Add(30 * time.Second); !w.isStopped(ctx, name); {
			if pause.Sleep(ctx, 50*time.Millisecond) != nil {
				return
			}
			if time.Now().After(deadline) {
				w.tally.mustNot(failedOperations, "stop "+name+"\n"+w.readWhy(name)+w.logTail(name))
				break
			}
		}
		for range 10 + w.randomInt(20) { // it stays stopped over further kills
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

// isStopped reports whether a plugin is stopped, by the supervisor's status and by
// its processes; a start that was under way has returned too.
func (w *world) isStopped(ctx context.Context, name string) bool {
	s, err := w.client.Status(ctx)
	return err == nil && len(findProcesses(w.in.Root, "daemon", "--start")[name]) == 0 &&
		slices.ContainsFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name && v.State == plugin.StateStopped })
}

// sendCommand sends an operator's command. Now and then the supervisor is killed
// right after it accepted the command.
func (w *world) sendCommand(ctx context.Context, o admin.Command, name string) error {
	if _, err := w.client.SendCommand(ctx, o, name); err != nil {
		return err
	}
	w.tally.add("operators' commands accepted", 1)
	if w.randomInt(2) == 0 {
		_ = pause.Sleep(ctx, time.Duration(w.randomInt(8000))*time.Microsecond)
		select {
		case w.killNow <- struct{}{}:
			w.tally.add("supervisors killed right after a command", 1)
		default:
		}
	}
	return nil
}

// restartControlPlanes kills the control plane now and then, and starts another at
// another address, which the next supervisor gets.
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
