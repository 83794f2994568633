package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/controlplane"
	"pluginsupervisor/internal/pause"
	"pluginsupervisor/internal/tools/testbed"
	"pluginsupervisor/plugin"
)

// verify starts a last supervisor, waits until everything has settled, and compares
// the processes with its status, with the statuses at the control plane, and with
// the starts that the daemons recorded.
func (w *world) verify(ctx context.Context) (err error) {
	if err := os.WriteFile(filepath.Join(w.in.Root, "calm"), nil, 0o644); err != nil {
		return err
	}
	s, err := w.startSupervisor()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.verifyStop(s)) }()
	for _, name := range w.operated {
		for w.startPlugin(ctx, name) != nil && pause.Sleep(ctx, 100*time.Millisecond) == nil {
		}
	}
	var why string
	for deadline := time.Now().Add(90 * time.Second); ; {
		if why = w.describeUnsettled(ctx); why == "" {
			break
		}
		if time.Now().After(deadline) {
			w.tally.mustNot(unsettled, why+"\n"+w.logTail(""))
			break
		}
		if err := s.Pass(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	w.verifyStarts()
	w.verifyFiles(ctx)
	for _, name := range w.pluginNames() {
		if _, err := w.client.SendCommand(ctx, admin.CommandStop, name); err != nil {
			w.tally.mustNot(failedOperations, name+": "+err.Error())
		}
	}
	const required = 20 // in a row: the scans and pulls that follow must not change it
	confirmed := 0
	for deadline := time.Now().Add(30 * time.Second); ; {
		left, unknown := findDaemons(w.in.Root), w.findUnreported(ctx, plugin.StatusFailed)
		if confirmed++; len(left) > 0 || unknown != "" {
			confirmed = 0
		}
		if confirmed == required {
			return nil
		}
		if time.Now().After(deadline) {
			if len(left) > 0 {
				w.tally.mustNot(orphans, fmt.Sprint(left))
			}
			if unknown != "" {
				w.tally.mustNot(unreported, unknown+"\n"+w.logTail(""))
			}
			return nil
		}
		if err := s.Pass(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// verifyStop stops the last supervisor as a service manager does, and counts what is
// left.
func (w *world) verifyStop(s *testbed.Child) error {
	if err := s.Stop(); err != nil {
		w.tally.mustNot(badExits, err.Error()+"\n"+w.logTail(""))
	}
	if code := s.ExitCode(); code != 0 {
		w.tally.mustNot(badExits, fmt.Sprintf("exit %d\n%s", code, w.logTail("")))
	}
	left, err := w.in.CgroupLeaves(false)
	w.tally.mustNot(cgroupsLeft, left...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.add("lines of the journal torn by a kill", w.torn)
	return err
}

func (w *world) startPlugin(ctx context.Context, name string) error {
	_, err := w.client.SendCommand(ctx, admin.CommandStart, name)
	return err
}

// describeUnsettled returns the first thing that has not settled, "" for nothing: one
// daemon of each plugin runs, and the supervisor and the control plane report that.
func (w *world) describeUnsettled(ctx context.Context) string {
	s, err := w.client.Status(ctx)
	if err != nil {
		return err.Error()
	}
	is := findDaemons(w.in.Root)
	for _, name := range w.pluginNames() {
		i := slices.IndexFunc(s.Plugins, func(v plugin.View) bool { return v.Name == name })
		switch {
		case i < 0:
			return name + " is not in status"
		case s.Plugins[i].State != plugin.StateRunning:
			return fmt.Sprintf("%s is %s: %s", name, s.Plugins[i].State, s.Plugins[i].Why)
		// A `--start` that hung when its supervisor was killed may still run.
		case len(is[name]) != 1 || !slices.Contains(s.Plugins[i].PIDs, is[name][0]),
			len(s.Plugins[i].PIDs) != 1 && !slices.Contains(w.hanging, name):
			return fmt.Sprintf("%s runs as %v, status says %v", name, is[name], s.Plugins[i].PIDs)
		case s.Plugins[i].Watch != plugin.WatchCgroup && s.Plugins[i].Watch != plugin.WatchPidfd:
			return fmt.Sprintf("%s is watched by %s", name, s.Plugins[i].Watch)
		}
	}
	if s.Reports.Pending > 0 || s.Reports.Events > 0 {
		return fmt.Sprintf("pending: %d statuses, %d events: %s", s.Reports.Pending, s.Reports.Events, s.Reports.LastError)
	}
	if len(s.Problems) > 0 {
		return fmt.Sprintf("problem: %+v", s.Problems)
	}
	return w.findUnreported(ctx, plugin.StatusRunning)
}

// findUnreported returns a plugin that does not have this status at the control
// plane, "" for none.
func (w *world) findUnreported(ctx context.Context, status plugin.Status) string {
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
	if len(list.Hosts) != 1 {
		return fmt.Sprintf("the control plane knows %d hosts", len(list.Hosts))
	}
	for _, name := range w.pluginNames() {
		ok := slices.ContainsFunc(list.Hosts[0].Plugins, func(p controlplane.HostPlugin) bool {
			return p.Name == name && p.Status == status
		})
		if !ok {
			return fmt.Sprintf("%s is %s, and the control plane did not receive it", name, status)
		}
	}
	return ""
}

// verifyStarts compares the number of starts of each steady plugin with the number
// of reasons for a start.
func (w *world) verifyStarts() {
	for _, name := range w.steady {
		n, _, err := readStarts(w.in.Root, name)
		switch {
		case err != nil:
			w.tally.mustNot(unreadable, err.Error())
		case n > w.neededStarts[name]:
			w.tally.mustNot(needless, fmt.Sprintf("%s: %d starts, %d needed\n%s", name, n, w.neededStarts[name], w.readWhy(name)))
		case n < w.neededStarts[name]:
			w.tally.mustNot(missing, fmt.Sprintf("%s: %d starts, %d needed\n%s", name, n, w.neededStarts[name], w.readWhy(name)))
		}
		w.tally.add("daemons of steady plugins", n)
	}
	for kind, names := range map[string][]string{"flapping": w.flapping, "hanging": w.hanging} {
		for _, name := range names {
			n, _, err := readStarts(w.in.Root, name)
			if err != nil {
				w.tally.mustNot(unreadable, err.Error())
			}
			w.tally.add("daemons of "+kind+" plugins", n)
		}
	}
	for _, name := range w.pluginNames() {
		_, twice, _ := readStarts(w.in.Root, name)
		for _, birth := range twice {
			w.tally.mustNot(overlaps, name+" "+birth+"\n"+w.readWhy(name))
		}
	}
}

// verifyFiles counts files that were moved aside as damaged.
func (w *world) verifyFiles(ctx context.Context) {
	for _, pattern := range []string{"supervisor/*.damaged-*", "plugin/*.damaged-*"} {
		found, _ := filepath.Glob(filepath.Join(w.in.Root, pattern))
		w.tally.mustNot(damaged, found...)
	}
	entries, err := exec.CommandContext(ctx, filepath.Join(w.bin, "supervisor"), "events", "--root", w.in.Root, "-n", "1").CombinedOutput()
	if err != nil {
		w.tally.mustNot(unreadable, string(entries)+err.Error())
	}
}

// readWhy returns the last journal entries of a plugin.
func (w *world) readWhy(name string) string {
	b, _ := exec.Command(filepath.Join(w.bin, "supervisor"), "why", "--root", w.in.Root, "-n", "40", name).CombinedOutput()
	return string(b)
}
