package plugincheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pluginsupervisor/internal/procfs"
)

// The test binary runs itself as a checker: with this variable set it checks the
// plugin that the variable names, as `supervisor plugin check` does, and prints the
// report. So checks run side by side, each as the parent of what its plugin leaves.
const sourceKey = "PLUGINCHECK_SOURCE"

func TestMain(m *testing.M) {
	if source, ok := os.LookupEnv(sourceKey); ok {
		os.Exit(runChecker(source))
	}
	os.Exit(m.Run())
}

func runChecker(source string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	report, err := Run(ctx, Options{Source: source, Subreaper: true, Progress: func(r Result) { fmt.Fprintln(os.Stderr, r.Rule) }})
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// checker returns the command that checks a plugin in a process of its own, with
// a folder for temporary files.
func checker(t *testing.T, source string) (cmd *exec.Cmd, temp string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	temp = t.TempDir()
	cmd = exec.Command(exe)
	cmd.Env = append(os.Environ(), sourceKey+"="+source, "TMPDIR="+temp)
	return cmd, temp
}

// check checks a plugin, and that nothing of it is left.
func check(t *testing.T, source string) Report {
	t.Helper()
	cmd, temp := checker(t, source)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	mustLeaveNothing(t, temp)
	var report Report
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// mustLeaveNothing fails when a check has left a file, or a process that was
// started below its folder.
func mustLeaveNothing(t *testing.T, temp string) {
	t.Helper()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left on disk: %v, %v", left, err)
	}
	pids, err := procfs.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		dir, _ := procfs.Variable(pid, "PLUGIN_DIR")
		if err == nil && strings.Contains(dir+string(words), temp) {
			if stat, err := procfs.ReadStat(pid); err == nil && stat.Live() {
				t.Errorf("left running: %d %q", pid, words)
			}
		}
	}
}

// writeFolder writes the folder of a plugin.
func writeFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o755)
		if name == "config.json" || name == "service.yaml" {
			mode = 0o644
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
