package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/internal/service"
)

// AP-01, AP-02, AP-03: this program manages a wrapped program without a supervisor.
func TestWrapped(t *testing.T) {
	dir := t.TempDir()
	shim := filepath.Join(dir, "plugin-shim")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", shim, "pluginsupervisor/cmd/plugin-shim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made, err := pack.Make(t.Context(), []pack.File{
		{Name: "config.json", Mode: 0o644, Body: []byte(`{"name": "looper", "version": "1.0", "runPath": "plugin-shim", "pluginType": "Persist", "timeout": "60"}`)},
		{Name: "service.yaml", Mode: 0o644, Body: []byte("command: [bin/loop, a b]\nready: {after: 100ms}\nhealth: {command: [/usr/bin/test, '!', -e, sick]}\nhooks: {uninstall: [/bin/echo, goes]}\n")},
		{Name: "bin/loop", Mode: 0o755, Body: []byte("#!/bin/sh\necho \"loop $1\"\nwhile :; do sleep 1; done\n")},
		{Name: "plugin-shim", Mode: 0o755, Path: shim},
	}, filepath.Join(dir, "looper.zip"))
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(layout.Plugins(root), 0o755); err != nil {
		t.Fatal(err)
	}
	version := layout.Version(root, "looper", "1.0")
	t.Cleanup(func() {
		cmd := exec.Command(shim, "--stop")
		cmd.Env = append(os.Environ(), "PLUGIN_DIR="+version)
		_ = cmd.Run() // stopped already if the test passed
	})
	is := func(status string) {
		t.Helper()
		if code, stdout, stderr := runOnRoot(t, root, "--status"); code != 0 || !strings.Contains(stdout, `"status": "`+status+`"`) || stderr != "" {
			t.Fatalf("exit %d, %s%s; want %s", code, stdout, stderr, status)
		}
	}
	do := func(want int, args ...string) {
		t.Helper()
		if code, stdout, stderr := runOnRoot(t, root, args...); code != want {
			t.Fatalf("%v: exit %d, %s%s", args, code, stdout, stderr)
		}
	}
	do(0, "-e", "-F", made.Path, "-p", "--start")
	is("PERSIST_RUNNING")
	run, err := service.ReadRun(version)
	if err != nil {
		t.Fatal(err)
	}
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", run.PID)); err != nil || string(args) != "/bin/sh\x00"+version+"/bin/loop\x00a b\x00" {
		t.Errorf("command line of the process: %q, %v", args, err)
	}
	if err := syscall.Kill(run.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if s, err := procfs.ReadStat(run.PID); err != nil || !s.Live() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("still running after SIGKILL")
		}
	}
	is("PERSIST_FAIL")
	do(0, "-e", "--local", "-P", "looper", "-p", "--start")
	is("PERSIST_RUNNING")
	if err := os.WriteFile(filepath.Join(version, "sick"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	is("PERSIST_FAIL")
	if err := os.Remove(filepath.Join(version, "sick")); err != nil {
		t.Fatal(err)
	}
	do(0, "-e", "--local", "-P", "looper", "-p", "--restart")
	is("PERSIST_RUNNING")
	do(0, "-e", "--local", "-P", "looper", "-p", "--stop")
	is("PERSIST_FAIL")
	do(0, "-e", "--local", "-P", "looper", "-p", "--start")
	do(0, "-r", "-P", "looper")
	is("REMOVED")
	if _, err := os.Stat(version); !os.IsNotExist(err) {
		t.Errorf("folder of the removed version: %v, want none", err)
	}
}
