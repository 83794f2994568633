package process

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

// EV-03, EV-07: without cgroups one scan finds the processes of all plugins. One scan for each
// plugin would take minutes for a thousand plugins.
func TestAdoptInOnePass(t *testing.T) {
	const running, installed = 5, 400
	r := newTestbed(t, plugin.WatchPidfd)
	var targets []plugin.WatchTarget
	var want []plugin.Observed
	for i := range running {
		name := fmt.Sprintf("runs-%d", i)
		res := r.startPlugin(name, "serve")
		targets = append(targets, newTarget(name))
		want = append(want, plugin.Observed{Name: name, RunID: 1, Processes: res.Processes, Watch: plugin.WatchPidfd})
	}
	for i := range installed {
		name := fmt.Sprintf("installed-%d", i)
		targets = append(targets, newTarget(name))
		want = append(want, plugin.Observed{Name: name, Watch: plugin.WatchPidfd})
	}
	r.startRun(plugin.WatchPidfd)
	began := time.Now()
	r.tracker.scanProcesses(false)
	pass := time.Since(began)
	began = time.Now()
	got := r.tracker.Adopt(t.Context(), targets)
	if took := time.Since(began); took > installed/2*pass {
		t.Errorf("adoption took %v, one scan takes %v", took, pass)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// EV-07: plugins that were not reached in time are missing in the result, so that the caller can
// ask again.
func TestAdoptInTime(t *testing.T) {
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.startPlugin("a", "serve")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if got := r.tracker.Adopt(ended, []plugin.WatchTarget{newTarget("a"), newTarget("b")}); len(got) != 0 {
			t.Errorf("adopted %+v with an ended context", got)
		}
		if got := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{newTarget("a"), newTarget("b")}); len(got) != 2 || len(got[0].Processes) != 1 {
			t.Errorf("adopted %+v", got)
		}
	})
}

func TestPluginOf(t *testing.T) {
	for dir, want := range map[string]string{
		"/base/plugin/a/1.0":     "a",
		"/base/plugin/a":         "a",
		"/base/plugin/":          "",
		"/base/plugins/a/1.0":    "",
		"/other/base/plugin/a/1": "",
		"":                       "",
	} {
		t.Run(dir, func(t *testing.T) {
			cmd := startWith(t, plugin.EnvDir+"="+dir)
			eventually(t, "executed", func() bool { return dir == "" || pluginDir(cmd.Pid) != "" })
			if got := pluginOf(pluginDir(cmd.Pid), []string{"/base/plugin/"}); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// startWith starts a process with a variable in its environment.
func startWith(t *testing.T, variable string) *os.Process {
	t.Helper()
	p, err := os.StartProcess("/proc/self/exe", []string{"helper"}, &os.ProcAttr{Env: withHelper([]string{variable}, "hang")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
	})
	return p
}
