package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// externalPlugin is a plugin that another program than the supervisor starts.
type externalPlugin struct {
	name          string
	program       []byte
	withPluginDir bool // its environment has PLUGIN_DIR
}

// EV-07, EV-01: a plugin that another program has started is watched by event from the
// next scan on: after its exit it is restarted at once, with scans an hour apart.
func TestStartedByAnotherProgram(t *testing.T) {
	binary, err := os.ReadFile(filepath.Join(os.Getenv("TEST_BIN"), "examples", "hello", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	const script = `#!/bin/sh
case "$1" in
--start) setsid sh -c 'echo $$ > "$0.pid"; while sleep 1; do :; done' "$0" < /dev/null > /dev/null 2>&1 & sleep 0.2 ;;
--status) grep -q '^State:[^Z]*$' "/proc/$(cat "$0.pid")/status" 2> /dev/null ;; # a zombie does not run
--stop) kill -9 "$(cat "$0.pid")" ;;
esac
`
	for _, o := range []externalPlugin{{"hello", binary, false}, {"script", []byte(script), true}} {
		t.Run(o.name, o.run)
	}
}

func (o externalPlugin) run(t *testing.T) {
	root, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		killAll(root)
		_ = os.RemoveAll(root)
	})
	dir := filepath.Join(root, "plugin", o.name, "1.0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "run")
	if err := os.WriteFile(path, o.program, 0o755); err != nil {
		t.Fatal(err)
	}
	r := record.Record{Name: o.name, Version: "1.0", RunPath: "run", Type: plugin.Persist, Timeout: "20"}
	if _, err := registry.New(registry.Options{Root: root}).Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	start := exec.Command(path, "--start")
	start.Dir = dir
	if o.withPluginDir {
		start.Env = append(os.Environ(), "PLUGIN_DIR="+dir)
	}
	if out, err := start.CombinedOutput(); err != nil {
		t.Fatalf("start: %v\n%s", err, out)
	}
	first := o.waitForPID(t, root, 0)

	run := exec.Command(filepath.Join(os.Getenv("TEST_BIN"), "supervisor"), "run", "--root", root, "--first-run-jitter", "0s",
		"--intervals-scan", "1h", "--restart-stagger", "0s", "--control-plane-url", "http://127.0.0.1:1")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(timeLimit, func() { _ = run.Process.Kill() })
	defer killer.Stop()
	if pids := o.waitForStatus(t, root, first); !slices.Contains(pids, first) {
		t.Fatalf("status has the pids %v, started as %d", pids, first)
	}
	began := time.Now()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := o.waitForPID(t, root, first)
	t.Logf("restarted after %v", time.Since(began)) // by an event: the next scan is in an hour
	if pids := o.waitForStatus(t, root, second); !slices.Contains(pids, second) {
		t.Errorf("status has the pids %v, started as %d", pids, second)
	}
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Error(err)
	}
}

// waitForPID waits until the daemon runs with another pid than not.
func (o externalPlugin) waitForPID(t *testing.T, root string, not int) int {
	t.Helper()
	text := ""
	for deadline := time.Now().Add(timeLimit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, file := range []string{"run.pid", "daemon.pid"} {
			b, err := os.ReadFile(filepath.Join(root, "plugin", o.name, "1.0", file))
			if err != nil {
				continue
			}
			text, _, _ = strings.Cut(strings.TrimSpace(string(b)), " ")
			if pid, err := strconv.Atoi(text); err == nil && pid != not && isRunning(pid) {
				return pid
			}
		}
	}
	t.Fatalf("no daemon runs, the pid file contains %q", text)
	return 0
}

// waitForStatus waits until status has the pid, and returns the pids of status.
func (o externalPlugin) waitForStatus(t *testing.T, root string, pid int) (pids []int) {
	t.Helper()
	why := error(nil)
	for deadline := time.Now().Add(timeLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out, err := exec.Command(filepath.Join(os.Getenv("TEST_BIN"), "supervisor"), "status", "-o", "json", "--root", root).Output()
		var s plugin.Snapshot
		if json.Unmarshal(out, &s) != nil || len(s.Plugins) != 1 {
			why = fmt.Errorf("%v: %s", err, out)
			continue
		}
		if pids = s.Plugins[0].PIDs; slices.Contains(pids, pid) {
			return pids
		}
	}
	if pids == nil {
		t.Fatal(why)
	}
	return pids
}
