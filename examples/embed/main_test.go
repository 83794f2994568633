package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The program is built, prints the status of an empty root, and exits 0 after
// SIGTERM.
func TestEmbed(t *testing.T) {
	dir, err := os.MkdirTemp("", "sv") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, root := filepath.Join(dir, "embed"), filepath.Join(dir, "root")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(program, root, "http://127.0.0.1:1", "50ms")
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	found := false
	for lines := bufio.NewScanner(out); !found && lines.Scan(); {
		found = lines.Text() == "no plugins are installed"
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !found || !strings.Contains(log.String(), `"msg":"Supervisor started"`) {
		t.Errorf("status printed: %v; exit: %v; log:\n%s", found, err, &log)
	}
	if _, err := os.Stat(filepath.Join(root, "supervisor", "state.db")); err != nil {
		t.Error(err)
	}
}

func TestRunRejectsArguments(t *testing.T) {
	for name, c := range map[string]struct{ args, want string }{
		"none": {"", "usage: "}, "one": {"/r", "usage: "}, "interval": {"/r http://x soon", "INTERVAL"}, "relative root": {"r http://x", "absolute path"},
	} {
		if err := run(t.Context(), strings.Fields(c.args), nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}
