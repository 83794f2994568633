package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

// The processes that a plugin's command leaves are found by the scope in which it ran.
func TestRoom(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	r := newTestbed(t, plugin.WatchCgroup)
	r.subreap()
	t.Run("RS-08 a start that times out leaves no process", func(t *testing.T) {
		c := r.daemonCommand("a", "stall")
		c.Timeout = 300 * time.Millisecond
		res := r.runner.Run(t.Context(), c)
		if left := r.listAlive(); !res.TimedOut || len(left) > 0 || len(res.Processes) > 0 {
			t.Errorf("left %v, result %+v", left, res)
		}
	})
	t.Run("RS-08 it leaves the processes from before", func(t *testing.T) {
		before := r.startPlugin("b", "serve")
		c := r.daemonCommand("b", "stall")
		c.Timeout = 300 * time.Millisecond
		res := r.runner.Run(t.Context(), c)
		if left := r.listAlive(); !res.TimedOut || len(left) != 1 || left[0] != before.Processes[0].PID {
			t.Errorf("left %v of %+v, result %+v", left, before, res)
		}
		r.signalProcess(before.Processes[0], syscall.SIGKILL)
		r.nextExit()
	})
	t.Run("SC-09 a probe that times out leaves no process", func(t *testing.T) {
		c := r.daemonCommand("a", "stall")
		c.Daemon, c.Log, c.Timeout = false, "", 300*time.Millisecond
		res := r.runner.Run(t.Context(), c)
		if left := r.listAlive(); !res.TimedOut || len(left) > 0 {
			t.Errorf("left %v, result %+v", left, res)
		}
	})
	t.Run("EV-02 a probe that hangs hides no exit", func(t *testing.T) {
		res := r.startPlugin("a", "serve")
		asked := r.daemonCommand("a", "hang")
		asked.Daemon, asked.Log = false, ""
		end := r.runInBackground(r.runner, asked)
		eventually(t, "asked", func() bool { return len(r.listAlive()) == 2 })
		r.signalProcess(res.Processes[0], syscall.SIGKILL)
		if e := r.nextExit(); e.Name != "a" || e.RunID != res.RunID {
			t.Errorf("reported %+v, want the exit of %+v", e, res)
		}
		end()
	})
	t.Run("EV-02 a plugin starts although its leaf takes no processes", func(t *testing.T) {
		threaded, err := r.tracker.tree.Leaf("threaded")
		if err != nil {
			t.Fatal(err)
		}
		// From then on its siblings are invalid.
		if err := os.WriteFile(filepath.Join(threaded.Dir(), "cgroup.type"), []byte("threaded"), 0); err != nil {
			t.Fatal(err)
		}
		res := r.startPlugin("c", "serve")
		if len(res.Processes) != 1 {
			t.Fatalf("started %+v", res)
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", res.Processes[0].PID)); err != nil || strings.Contains(string(b), "/c\n") {
			t.Fatalf("the process is in the leaf: %s %v", b, err)
		}
		r.signalProcess(res.Processes[0], syscall.SIGKILL)
		if e := r.nextExit(); e.Name != "c" || e.RunID != res.RunID || e.Signal != "SIGKILL" {
			t.Errorf("reported %+v, want the exit of %+v", e, res)
		}
	})
}

// EV-02: KillPlugin kills all processes of a plugin.
func TestKill(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.subreap()
		for name, script := range map[string]string{
			"deaf":     `trap '' TERM INT HUP; sleep 1000 & wait; sleep 1000`,
			"thousand": `trap '' TERM; i=0; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i+1)); done; wait`,
			"respawns": "",
		} {
			if name == "respawns" && r.tracker.tree == nil {
				continue // faster than processes can be listed: only a cgroup shows it
			}
			t.Run(name, func(t *testing.T) {
				c := r.daemonCommand(name, "")
				c.Path = "/bin/sh"
				c.Args = []string{"-c", "setsid sh -c '" + strings.ReplaceAll(script, "'", `'\''`) + "' >/dev/null 2>&1 &"}
				if name == "respawns" {
					c = r.daemonCommand(name, "start", "relay", filepath.Join(r.root, "never"))
				}
				if res := r.runner.Run(t.Context(), c); res.Err != nil {
					t.Fatal(res.Err)
				}
				if name == "thousand" {
					eventually(t, "a thousand", func() bool { return len(r.listAlive()) > 1000 })
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := r.tracker.KillPlugin(ctx, name); err != nil {
					t.Fatal(err)
				}
				if left := r.listAlive(); len(left) > 0 {
					t.Errorf("%d processes left, want 0", len(left))
				}
				if e := r.nextExit(); e.Name != name {
					t.Errorf("reported %+v", e)
				}
			})
		}
	})
}

// Exits at any moment after a start are reported once each.
func TestChurn(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		r.subreap()
		t.Run("EV-01 each exit is reported once", func(t *testing.T) {
			for i := range 50 {
				res := r.startPlugin("a", "serve")
				time.Sleep(time.Duration(i%10) * 300 * time.Microsecond)
				r.signalProcess(res.Processes[0], syscall.SIGKILL)
				if e := r.nextExit(); e.RunID != uint64(i+1) || e.Signal != "SIGKILL" {
					t.Fatalf("%d: reported %+v, want the exit of %+v", i, e, res)
				}
			}
			r.checkNoExit("each was told")
		})
		t.Run("EV-01 exit before the start command returns", func(t *testing.T) {
			for range 10 {
				res := r.runner.Run(t.Context(), r.daemonCommand("b", "start", "exit", "3"))
				if res.Err != nil {
					t.Fatal(res.Err)
				}
				if len(res.Processes) > 0 { // it was still alive after the start
					if e := r.nextExit(); e.RunID != res.RunID {
						t.Fatalf("reported %+v, want the exit of %+v", e, res)
					}
				}
			}
			r.checkNoExit("ended before it was seen")
		})
	})
}
