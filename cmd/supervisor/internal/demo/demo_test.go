package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// The scenario demo.txtar of the command runs the whole demo. These tests run demos
// that must fail.

// fakeBin returns a folder of shell scripts in place of the programs.
func fakeBin(t *testing.T, supervisor, controlPlane string) string {
	t.Helper()
	bin := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		path := filepath.Join(bin, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("supervisor", "#!/bin/sh\n"+supervisor, 0o755)
	write("controlplane", "#!/bin/sh\n"+controlPlane, 0o755)
	for _, s := range samples {
		write(filepath.Join("examples", s, s), "#!/bin/sh\nexit 0\n", 0o755)
		write(filepath.Join("examples", s, "config.json"), `{"name":"`+s+`","version":"1.0","runPath":"`+s+`","pluginType":"Persist"}`, 0o644)
	}
	return bin
}

const listens = `while [ $# -gt 0 ]; do [ "$1" = --address-file ] && echo 127.0.0.1:1 > "$2"; shift; done; ` + waits

// waits is a script that runs until SIGTERM.
const waits = `trap 'exit 0' TERM; while :; do sleep 0.1; done`

func runDemo(t *testing.T, o Options) (string, error) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out bytes.Buffer
	o.Out = &out
	err := Run(t.Context(), o)
	if left, globErr := filepath.Glob(filepath.Join(tmp, "*")); globErr != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, globErr)
	}
	return out.String(), err
}

func TestNotBuilt(t *testing.T) {
	_, err := runDemo(t, Options{Bin: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "make build") || !strings.Contains(err.Error(), "examples/hang/hang") {
		t.Errorf("got %v", err)
	}
}

func TestExitOfTheSupervisorFailsTheDemo(t *testing.T) {
	bin := fakeBin(t, "echo 'root: is not valid' >&2; exit 2", listens)
	out, err := runDemo(t, Options{Bin: bin, For: time.Second})
	failed := (*FailedError)(nil)
	if !errors.As(err, &failed) || len(failed.Claims) != 1 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"FAILED hello, crash and hang did not run", "supervisor exited unexpectedly: exit status 2", "root: is not valid"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

func TestFailedClaimIsNamed(t *testing.T) {
	bin := fakeBin(t, waits, listens)
	_, err := runDemo(t, Options{Bin: bin, For: time.Second, timeout: 300 * time.Millisecond})
	failed := (*FailedError)(nil)
	if !errors.As(err, &failed) || len(failed.Claims) < 2 || !strings.Contains(err.Error(), "crash is in a crash loop") {
		t.Fatalf("got %v", err)
	}
}

func TestExitOfTheControlPlaneStopsTheDemo(t *testing.T) {
	_, err := runDemo(t, Options{Bin: fakeBin(t, waits, "exit 7"), For: time.Second})
	if err == nil || !strings.Contains(err.Error(), "control plane exited unexpectedly: exit status 7") {
		t.Fatalf("got %v", err)
	}
}

// All versions of a sample have the same program; config.json has the version.
func TestUnpackOtherVersion(t *testing.T) {
	e := &env{bin: fakeBin(t, "", ""), root: t.TempDir()}
	e.registry = registry.New(registry.Options{Root: e.root})
	if err := e.installSample(t.Context(), "hello", "1.0"); err != nil {
		t.Fatal(err)
	}
	config, err := e.unpackSample("hello", "2.0")
	if err != nil || config.Version != "2.0" || config.Type != plugin.Persist {
		t.Fatalf("%+v, %v", config, err)
	}
	list, err := e.registry.List(t.Context())
	if err != nil || len(list.Plugins) != 1 || list.Plugins[0].Version != "1.0" {
		t.Fatalf("%+v, %v", list, err)
	}
}

// A process is found by its program, independent of its parent.
func TestDaemonsAreFoundByTheirProgram(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(root, "plugin", "sleep", "1.0", "sleep")
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(program), 0o755), os.WriteFile(program, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	c, err := spawnChild("sleep", program, filepath.Join(root, "log"), "600")
	if err != nil {
		t.Fatal(err)
	}
	found, err := listDaemons(root)
	if err != nil || len(found) != 1 || found[0] != (daemon{c.cmd.Process.Pid, "plugin/sleep/1.0/sleep"}) {
		t.Errorf("found %+v, %v", found, err)
	}
	if pid := findOnlyPID(found, "sleep", "1.0"); pid != 0 {
		t.Errorf("pid %d of a verb is taken for a daemon", pid)
	}
	e := &env{root: root}
	if err := e.stopPlugins(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-c.exited
	if c.stopProcess(t.Context()) != nil {
		t.Error("stopProcess of an exited child returns an error")
	}
}

// EV-27: the demo stops and cleans up although its output is not read.
func TestOutputIsNotRead(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if _, err := unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := write.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	failed := (*FailedError)(nil)
	err = Run(t.Context(), Options{Bin: fakeBin(t, waits, listens), Out: write, timeout: time.Second})
	if !errors.As(err, &failed) {
		t.Errorf("got %v, want a *FailedError", err)
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
