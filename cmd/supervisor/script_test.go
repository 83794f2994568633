package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scenarios are in testdata/script; the first lines of each say what it checks.
// They run the real programs, each with its own root. script_commands_test.go has
// their additional commands.
func TestScript(t *testing.T) {
	bin := os.Getenv("TEST_BIN")
	// The roots are below this folder, and paths of sockets must be short.
	work, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         work,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			root := filepath.Join(e.WorkDir, "root")
			for _, set := range [][2]string{
				{"PATH", bin + string(os.PathListSeparator) + e.Getenv("PATH")},
				{"BIN", bin},
				{"ROOT", root},
				{"GORACE", "atexit_sleep_ms=0"},
				{"SUPERVISOR_ROOT", root},
				{"SUPERVISOR_FIRST_RUN_JITTER", "0s"},
				{"SUPERVISOR_INTERVALS_SCAN", "500ms"},
				{"SUPERVISOR_AVOID_WINDOW", "0s"},
				{"SUPERVISOR_RESTART_STAGGER", "0s"},
				{"SUPERVISOR_CONTROL_PLANE_URL", "http://127.0.0.1:1"}, // no control plane
			} {
				e.Setenv(set[0], set[1])
			}
			e.Defer(func() { killAll(e.WorkDir) })
			return nil
		},
		Cmds: scriptCommands(),
	})
}
