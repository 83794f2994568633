package process

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// startOutside starts a process as another program does: not by the Runner, from an executable in
// the plugin's folder, and without PLUGIN_DIR.
func (r *testbed) startOutside(name string) (p plugin.Process, path string) {
	r.t.Helper()
	c := r.command("hang")
	path = filepath.Join(r.root, name, "1.0", "run")
	if _, err := os.Stat(path); err != nil {
		copyExecutable(r.t, c.Path, path)
	}
	return r.startStray(path, c.Env), path
}

func (r *testbed) startStray(path string, env []string) plugin.Process {
	r.t.Helper()
	cmd := exec.Command(path)
	cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	s, err := procfs.ReadStat(cmd.Process.Pid)
	if err != nil {
		r.t.Fatal(err)
	}
	return plugin.Process{PID: cmd.Process.Pid, StartTicks: s.Born, BootID: r.tracker.boot}
}

func copyExecutable(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// outsideTarget returns a target with Outside set.
func outsideTarget(name string) []plugin.WatchTarget {
	t := newTarget(name)
	t.IncludeExternal = true
	return []plugin.WatchTarget{t}
}

func TestAdoptOutside(t *testing.T) {
	withAndWithoutCgroups(t, func(t *testing.T, r *testbed) {
		t.Run("EV-07 by executable, if asked for, and watched by event", func(t *testing.T) {
			p, _ := r.startOutside("a")
			eventually(t, "executed", func() bool { return executablePath(p.PID) != "" })
			if got := r.tracker.Adopt(t.Context(), []plugin.WatchTarget{newTarget("a")}); len(got[0].Processes) > 0 {
				t.Errorf("found %+v without Outside", got)
			}
			got := r.tracker.Adopt(t.Context(), outsideTarget("a"))
			if len(got) != 1 || got[0].RunID != 1 || !slices.Equal(got[0].Processes, []plugin.Process{p}) {
				t.Fatalf("found %+v, runs as %+v", got, p)
			}
			began := time.Now()
			r.signalProcess(p, syscall.SIGKILL)
			e := r.nextExit()
			if e.Name != "a" || e.PID != p.PID || e.RunID != 1 || !e.External {
				t.Errorf("reported %+v", e)
			}
			if took := e.At.Sub(began); took > 20*time.Second { // without an event it is not noticed
				t.Errorf("reported after %v, want it at once", took)
			}
			for !e.CauseKnown && kernelReportsOthers(t) {
				e = r.nextExit()
			}
		})
		t.Run("EV-07 by PLUGIN_DIR", func(t *testing.T) {
			c := r.daemonCommand("b", "hang")
			p := r.startStray(c.Path, c.Env)
			eventually(t, "executed", func() bool { return pluginDir(p.PID) != "" })
			if got := r.tracker.Adopt(t.Context(), outsideTarget("b")); !slices.Equal(got[0].Processes, []plugin.Process{p}) {
				t.Errorf("found %+v, runs as %+v", got, p)
			}
			r.signalProcess(p, syscall.SIGKILL)
			if e := r.nextKnownExit(); e.Name != "b" || !e.External {
				t.Errorf("reported %+v", e)
			}
		})
		t.Run("EV-23 a replacement process is found before the exit is reported", func(t *testing.T) {
			first, _ := r.startOutside("c")
			eventually(t, "executed", func() bool { return executablePath(first.PID) != "" })
			r.tracker.Adopt(t.Context(), outsideTarget("c"))
			second, _ := r.startOutside("c")
			eventually(t, "executed", func() bool { return executablePath(second.PID) != "" })
			r.signalProcess(first, syscall.SIGKILL)
			eventually(t, "the second is watched", func() bool {
				ps, _, err := r.tracker.ListProcesses("c")
				return err == nil && slices.Equal(ps, []plugin.Process{second})
			})
			if len(r.exits) > 0 {
				t.Errorf("reported %+v while the second process runs", <-r.exits)
			}
			r.signalProcess(second, syscall.SIGKILL)
			if e := r.nextKnownExit(); e.Name != "c" || !e.External {
				t.Errorf("reported %+v", e)
			}
		})
		t.Run("EV-08 a file with the same path in another root does not count", func(t *testing.T) {
			p, path := r.startOutside("d")
			eventually(t, "executed", func() bool { return executablePath(p.PID) != "" })
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if got := r.tracker.Adopt(t.Context(), outsideTarget("d")); len(got[0].Processes) > 0 {
				t.Errorf("found %+v", got)
			}
			r.signalProcess(p, syscall.SIGKILL)
		})
		t.Run("a process that we start is not from outside", func(t *testing.T) {
			res := r.startPlugin("e", "serve")
			r.tracker.Adopt(t.Context(), outsideTarget("e"))
			r.signalProcess(res.Processes[0], syscall.SIGKILL)
			if e := r.nextKnownExit(); e.Name != "e" || e.External {
				t.Errorf("reported %+v", e)
			}
		})
	})
}
