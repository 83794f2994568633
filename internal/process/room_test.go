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

// What a plugin's commands leave is found by the room they ran in.
func TestRoom(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	r := newRig(t, plugin.WatchCgroup)
	r.subreap()
	t.Run("RS-08 a start that is timed out leaves nothing", func(t *testing.T) {
		c := r.of("a", "stall")
		c.Timeout = 300 * time.Millisecond
		res := r.runner.Run(t.Context(), c)
		if left := r.alive(); !res.TimedOut || len(left) > 0 || len(res.Processes) > 0 {
			t.Errorf("left %v, result %+v", left, res)
		}
	})
	t.Run("RS-08 but what was there before", func(t *testing.T) {
		before := r.start("b", "serve")
		c := r.of("b", "stall")
		c.Timeout = 300 * time.Millisecond
		res := r.runner.Run(t.Context(), c)
		if left := r.alive(); !res.TimedOut || len(left) != 1 || left[0] != before.Processes[0].PID {
			t.Errorf("left %v of %+v, result %+v", left, before, res)
		}
		r.signal(before.Processes[0], syscall.SIGKILL)
		r.exit()
	})
	t.Run("SC-09 a question that is timed out leaves nothing", func(t *testing.T) {
		c := r.of("a", "stall")
		c.Daemon, c.Log, c.Timeout = false, "", 300*time.Millisecond
		res := r.runner.Run(t.Context(), c)
		if left := r.alive(); !res.TimedOut || len(left) > 0 {
			t.Errorf("left %v, result %+v", left, res)
		}
	})
	t.Run("EV-02 a question that hangs hides no end", func(t *testing.T) {
		res := r.start("a", "serve")
		asked := r.of("a", "hang")
		asked.Daemon, asked.Log = false, ""
		end := r.run(r.runner, asked)
		eventually(t, "asked", func() bool { return len(r.alive()) == 2 })
		r.signal(res.Processes[0], syscall.SIGKILL)
		if e := r.exit(); e.Name != "a" || e.RunID != res.Life {
			t.Errorf("told %+v of %+v", e, res)
		}
		end()
	})
	t.Run("EV-02 a leaf that takes no processes keeps nothing from starting", func(t *testing.T) {
		threaded, err := r.tracker.tree.Leaf("threaded")
		if err != nil {
			t.Fatal(err)
		}
		// Its siblings are invalid from then on.
		if err := os.WriteFile(filepath.Join(threaded.Dir(), "cgroup.type"), []byte("threaded"), 0); err != nil {
			t.Fatal(err)
		}
		res := r.start("c", "serve")
		if len(res.Processes) != 1 {
			t.Fatalf("started %+v", res)
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", res.Processes[0].PID)); err != nil || strings.Contains(string(b), "/c\n") {
			t.Fatalf("it is in the leaf: %s %v", b, err)
		}
		r.signal(res.Processes[0], syscall.SIGKILL)
		if e := r.exit(); e.Name != "c" || e.RunID != res.Life || e.Signal != "SIGKILL" {
			t.Errorf("told %+v of %+v", e, res)
		}
	})
}

// EV-02: cgroup.kill ends a plugin whole, whatever it does against it.
func TestKill(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	eachWay(t, func(t *testing.T, r *rigged) {
		r.subreap()
		for name, script := range map[string]string{
			"deaf":     `trap '' TERM INT HUP; sleep 1000 & wait; sleep 1000`,
			"thousand": `trap '' TERM; i=0; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i+1)); done; wait`,
			"respawns": "",
		} {
			if name == "respawns" && r.tracker.tree == nil {
				continue // faster than processes can be listed: only a cgroup holds that
			}
			t.Run(name, func(t *testing.T) {
				c := r.of(name, "")
				c.Path = "/bin/sh"
				c.Args = []string{"-c", "setsid sh -c '" + strings.ReplaceAll(script, "'", `'\''`) + "' >/dev/null 2>&1 &"}
				if name == "respawns" {
					c = r.of(name, "start", "relay", filepath.Join(r.root, "never"))
				}
				if res := r.runner.Run(t.Context(), c); res.Err != nil {
					t.Fatal(res.Err)
				}
				if name == "thousand" {
					eventually(t, "a thousand", func() bool { return len(r.alive()) > 1000 })
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := r.tracker.Kill(ctx, name); err != nil {
					t.Fatal(err)
				}
				if left := r.alive(); len(left) > 0 {
					t.Errorf("left: %d", len(left))
				}
				if e := r.exit(); e.Name != name {
					t.Errorf("told %+v", e)
				}
			})
		}
	})
}

// Deaths at any moment after a start, one after the other, are told once each.
func TestChurn(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	eachWay(t, func(t *testing.T, r *rigged) {
		r.subreap()
		t.Run("EV-01 each end is told once", func(t *testing.T) {
			for i := range 50 {
				res := r.start("a", "serve")
				time.Sleep(time.Duration(i%10) * 300 * time.Microsecond)
				r.signal(res.Processes[0], syscall.SIGKILL)
				if e := r.exit(); e.RunID != uint64(i+1) || e.Signal != "SIGKILL" {
					t.Fatalf("%d: told %+v of %+v", i, e, res)
				}
			}
			r.quiet("each was told")
		})
		t.Run("EV-01 ended before its start has", func(t *testing.T) {
			for range 10 {
				res := r.runner.Run(t.Context(), r.of("b", "start", "exit", "3"))
				if res.Err != nil {
					t.Fatal(res.Err)
				}
				if len(res.Processes) > 0 { // it was still seen
					if e := r.exit(); e.RunID != res.Life {
						t.Fatalf("told %+v of %+v", e, res)
					}
				}
			}
			r.quiet("ended before it was seen")
		})
	})
}
