package plugincheck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// The test binary runs itself as a checker: with this variable set it checks the
// plugin that the variable names, as `supervisor plugin check` does, and prints the
// report. So checks run side by side, each as the parent of what its plugin leaves.
const sourceKey = "PLUGINCHECK_SOURCE"

func TestMain(m *testing.M) {
	if source, ok := os.LookupEnv(sourceKey); ok {
		os.Exit(runChecker(source))
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // checks wait most of the time
		panic(err)
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

// A check that is cut short leaves nothing, in whatever stage it is.
func TestCutShort(t *testing.T) {
	for _, stage := range []string{"install", "status-after", "start-killed", "inherited-files"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			cmd, temp := checker(t, writeFolder(t, map[string]string{"zoo.sh": goodPlugin, "config.json": goodConfig}))
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			for lines.Scan() && lines.Text() != stage {
				continue
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			said := ""
			for lines.Scan() {
				said = lines.Text()
			}
			if err := cmd.Wait(); err == nil || !strings.HasPrefix(said, "check cut short: ") {
				t.Errorf("exited with %v and said %q", err, said)
			}
			mustLeaveNothing(t, temp)
		})
	}
}

// A check whose plugin is killed from outside again and again finishes, and leaves
// nothing.
func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	cmd, temp := checker(t, writeFolder(t, map[string]string{"zoo.sh": goodPlugin, "config.json": goodConfig}))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		switch lines.Text() {
		case "daemonize", "start-twice", "log", "start-killed", "inherited-files", "starter-death":
			time.AfterFunc(20*time.Millisecond, func() { killBelow(temp) })
			kills++
		}
	}
	if err := cmd.Wait(); err != nil || kills != 6 {
		t.Errorf("%v after %d kills", err, kills)
	}
	mustLeaveNothing(t, temp)
}

// killBelow kills the processes of plugins below a folder.
func killBelow(temp string) {
	pids, _ := procfs.PIDs()
	for _, pid := range pids {
		if dir, ok := procfs.Variable(pid, "PLUGIN_DIR"); ok && strings.HasPrefix(dir, temp) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// What cannot be checked at all is an error, and nothing is left.
func TestNoPlugin(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	if _, err := Run(t.Context(), Options{Source: filepath.Join(temp, "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	mustLeaveNothing(t, temp)
	t.Setenv("TMPDIR", filepath.Join(temp, "none"))
	if _, err := Run(t.Context(), Options{Source: temp}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// A package is checked as a folder is, also one in which everything is in a folder
// that is named after the version.
func TestPackageFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "zoo.zip")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	err = pack.Write(f, []pack.File{
		{Name: "zoo-1.0/zoo.sh", Mode: 0o755, Body: []byte(goodPlugin)}, {Name: "zoo-1.0/config.json", Mode: 0o644, Body: []byte(goodConfig)},
	})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	report := check(t, file)
	mustPass(t, report)
	if report.Name != "zoo" || report.Version != "1.0" || report.Type != plugin.Persist {
		t.Errorf("report of %s %s, %v", report.Name, report.Version, report.Type)
	}
}
