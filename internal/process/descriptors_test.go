package process

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"pluginsupervisor/plugin"
)

// EV-31: with few descriptors every plugin is watched, those without one by scan. Unwatched counts
// them, and each exit is reported.
func TestFewDescriptors(t *testing.T) {
	r := newTestbed(t, plugin.WatchPidfd)
	const plugins, watched = 6, 3
	r.tracker.mu.Lock()
	r.tracker.descriptors.most = watched
	r.tracker.mu.Unlock()
	var pids []int
	for i := range plugins {
		res := r.startPlugin(fmt.Sprint("p", i), "serve")
		if res.Err != nil || len(res.Processes) == 0 {
			t.Fatalf("%+v", res)
		}
		pids = append(pids, res.Processes[0].PID)
	}
	if n, limit, since := r.tracker.Unwatched(); n != plugins-watched || limit != watched+keptDescriptors || since.IsZero() {
		t.Errorf("EV-31: %d unwatched, limit %d, since %v", n, limit, since)
	}
	if n := r.tracker.descriptors.used.Load(); n != watched {
		t.Errorf("%d processes are watched", n)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	var ended []string
	for len(ended) < plugins {
		if e := r.nextExit(); !e.Late {
			ended = append(ended, e.Name)
		}
	}
	slices.Sort(ended)
	if want := []string{"p0", "p1", "p2", "p3", "p4", "p5"}; !slices.Equal(ended, want) {
		t.Errorf("EV-31: reported exits of %v", ended)
	}
	if used := r.tracker.descriptors.used.Load(); used > int64(watched) {
		t.Errorf("%d descriptors are in use, want 0", used)
	}
}
