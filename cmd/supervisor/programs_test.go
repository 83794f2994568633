package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"pluginsupervisor/internal/testenv/callfault"
)

// TestMain builds the programs into a temporary folder; the tests run them.
func TestMain(m *testing.M) {
	callfault.Launch()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	bin, err := os.MkdirTemp("", "supervisor-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	if err := buildPrograms(bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv("TEST_BIN", bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func buildPrograms(bin string) error {
	program := func(to, pkg string, flags ...string) error {
		args := append([]string{"build", "-o", filepath.Join(bin, to)}, flags...)
		cmd := exec.Command("go", append(args, "pluginsupervisor/"+pkg)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
		return nil
	}
	var flags []string
	if underRace() { // check the supervisor process for races, too
		flags = append(flags, "-race")
	}
	failed := errors.Join(program("supervisor", "cmd/supervisor", flags...), program("controlplane", "cmd/controlplane"),
		program("plugin-shim-"+runtime.GOARCH, "cmd/plugin-shim"),
		program("acs-plugin-manager", "cmd/acs-plugin-manager"))
	for _, sample := range []string{"hello", "crash", "hang", "once"} {
		failed = errors.Join(failed, program(filepath.Join("examples", sample, sample), "examples/"+sample),
			copyFile(filepath.Join("..", "..", "examples", sample, "config.json"), filepath.Join(bin, "examples", sample, "config.json"), 0o644))
	}
	for from, mode := range map[string]os.FileMode{"examples/loadavg/run.sh": 0o755, "examples/loadavg/config.json": 0o644, "pluginkit/plugin.sh": 0o644} {
		failed = errors.Join(failed, copyFile(filepath.Join("..", "..", from), filepath.Join(bin, "examples", "loadavg", filepath.Base(from)), mode))
	}
	return failed
}

// underRace reports whether the test was built with -race.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}

func copyFile(from, to string, mode os.FileMode) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, mode)
}
