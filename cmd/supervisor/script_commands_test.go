package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/plugin"
)

// scriptCommands returns the commands of scenarios.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exitcode":     cmdExitCode,
		"install":      cmdInstall,
		"many":         cmdMany,
		"pack":         cmdPack,
		"packsample":   cmdPackSample,
		"trust":        cmdTrust,
		"await":        cmdAwait,
		"awaitaddress": cmdAwaitAddress,
		"awaithost":    cmdAwaitHost,
		"pidof":        cmdPidof,
		"same":         cmdSame,
		"signal":       cmdSignal,
		"mkfifo":       cmdMkfifo,
		"awaitfile":    cmdAwaitFile,
		"awaitgone":    cmdAwaitGone,
		"awaittext":    cmdAwaitText,
		"empty":        cmdEmpty,
		"nothing":      cmdNothing,
	}
}

// timeLimit bounds each wait, also on a slow machine.
const timeLimit = 90 * time.Second

func retryUntil(ts *testscript.TestScript, what string, check func() error) {
	var err error
	for deadline := time.Now().Add(timeLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	ts.Fatalf("%s: %v", what, err)
}

func checkUsage(ts *testscript.TestScript, ok bool, usage string) {
	if !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

// exitcode N PROGRAM ARGS… runs a program that exits with status N.
func cmdExitCode(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) >= 2, "exitcode N PROGRAM ARGS…")
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit status %d, want %s", code, args[0])
	}
}

// install NAME VERSION [FILE [TIMEOUT]] installs a sample, or FILE as a plugin.
func cmdInstall(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) >= 2, "install NAME VERSION [FILE [TIMEOUT]]")
	sample := filepath.Join(os.Getenv("TEST_BIN"), "examples", args[0])
	program, config, timeout := filepath.Join(sample, args[0]), []byte(`{"pluginType":"Persist","heartbeatInterval":60}`), ""
	if len(args) > 2 {
		program = ts.MkAbs(args[2])
	} else {
		var err error
		config, err = os.ReadFile(filepath.Join(sample, "config.json"))
		ts.Check(err)
	}
	if len(args) > 3 {
		timeout = args[3]
	}
	ts.Check(installProgram(ts.Getenv("ROOT"), args[0], args[1], program, config, timeout))
}

// installProgram installs a program as a plugin. timeout replaces that of the
// config, unless it is "".
func installProgram(root, name, version, program string, config []byte, timeout string) error {
	fields := map[string]any{}
	if err := json.Unmarshal(config, &fields); err != nil {
		return err
	}
	fields["name"], fields["version"], fields["runPath"] = name, version, name
	if timeout != "" {
		fields["timeout"] = timeout
	}
	config, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "plugin", name, version)
	if err := copyFile(program, filepath.Join(dir, name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		return err
	}
	pkg, err := record.ReadPackageConfig(dir)
	if err != nil {
		return err
	}
	_, err = registry.New(registry.Options{Root: root}).Put(context.Background(), pkg.Record())
	return err
}

// pack FILE NAME VERSION [PROGRAM] makes a package of a sample, or of PROGRAM.
func cmdPack(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) >= 3, "pack FILE NAME VERSION [PROGRAM]")
	name := args[1]
	program := filepath.Join(os.Getenv("TEST_BIN"), "examples", name, name)
	if len(args) > 3 {
		program = ts.MkAbs(args[3])
	}
	content, err := os.ReadFile(program)
	ts.Check(err)
	config := fmt.Appendf(nil, `{"name":%q,"version":%q,"runPath":%q,"pluginType":"Persist","heartbeatInterval":60}`, name, args[2], name)
	writePackage(ts, args[0], packed{"config.json", 0o644, config}, packed{name, 0o755, content})
}

// packsample FILE NAME makes a package of all files of a sample, unchanged.
func cmdPackSample(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 2, "packsample FILE NAME")
	dir := filepath.Join(os.Getenv("TEST_BIN"), "examples", args[1])
	entries, err := os.ReadDir(dir)
	ts.Check(err)
	var files []packed
	for _, e := range entries {
		info, err := e.Info()
		ts.Check(err)
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		ts.Check(err)
		files = append(files, packed{e.Name(), info.Mode(), content})
	}
	writePackage(ts, args[0], files...)
}

// packed is a file of a package.
type packed struct {
	name    string
	mode    os.FileMode
	content []byte
}

func writePackage(ts *testscript.TestScript, path string, files ...packed) {
	f, err := os.Create(ts.MkAbs(path))
	ts.Check(err)
	z := zip.NewWriter(f)
	for _, file := range files {
		h := &zip.FileHeader{Name: file.name, Method: zip.Deflate}
		h.SetMode(file.mode)
		w, err := z.CreateHeader(h)
		ts.Check(err)
		_, err = w.Write(file.content)
		ts.Check(err)
	}
	ts.Check(z.Close())
	ts.Check(f.Close())
}

// trust FILE trusts the public key in it.
func cmdTrust(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 1, "trust FILE")
	ts.Setenv("SUPERVISOR_UPGRADE_TRUSTED_KEYS", strings.TrimSpace(ts.ReadFile(args[0])))
}

// many N NAME FILE TIMEOUT installs FILE as the plugins NAME1 … NAMEN.
func cmdMany(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 4, "many N NAME FILE TIMEOUT")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i := range n {
		cmdInstall(ts, false, []string{args[1] + strconv.Itoa(i+1), "1.0", args[2], args[3]})
	}
}

// await NAME STATE [VERSION] waits until the plugin is in the state; await scanned
// or pulled waits for a scan or pull; await pending N until N reports are pending.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) > 0, "await NAME STATE [VERSION] | scanned | pulled | pending N")
	client := admin.Dial(filepath.Join(ts.Getenv("ROOT"), "supervisor", "supervisor.sock"))
	retryUntil(ts, "await "+strings.Join(args, " "), func() error {
		s, err := client.Status(context.Background())
		if err == nil && !matchesStatus(s, args) {
			err = fmt.Errorf("saw %+v, reports %+v", s.Plugins, s.Reports)
		}
		return err
	})
}

func matchesStatus(s plugin.Snapshot, args []string) bool {
	switch args[0] {
	case "scanned":
		return s.Counters.Scans > 1 // a scan is counted when it begins
	case "pulled":
		return s.Counters.Pulls > 1 // the second begins when the first is finished
	case "pending":
		return args[1] == strconv.Itoa(s.Reports.Pending)
	}
	for _, v := range s.Plugins {
		if v.Name == args[0] && v.State.String() == args[1] && (len(args) < 3 || v.Version == args[2]) {
			return true
		}
	}
	return false
}

// awaitaddress FILE waits until a control plane has written its address to FILE, and
// sets ADDRESS to it.
func cmdAwaitAddress(ts *testscript.TestScript, _ bool, args []string) {
	retryUntil(ts, "await the control plane's address", func() error {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		ts.Setenv("ADDRESS", strings.TrimSpace(string(b)))
		return err
	})
}

// awaithost NAME STATUS waits until the control plane at ADDRESS shows the status of
// the plugin.
func cmdAwaitHost(ts *testscript.TestScript, _ bool, args []string) {
	want := fmt.Sprintf(`"name":%q,"version":"1.0","status":%q`, args[0], args[1])
	retryUntil(ts, "await at the control plane "+want, func() error {
		resp, err := http.Get("http://" + ts.Getenv("ADDRESS") + "/api/hosts")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && !strings.Contains(string(b), want) {
			err = fmt.Errorf("it shows %s", b)
		}
		return err
	})
}

// pidof VAR NAME VERSION [NOT] waits for the only daemon of the plugin, with another
// pid than NOT, and sets VAR to its pid.
func cmdPidof(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) >= 3, "pidof VAR NAME VERSION [NOT]")
	retryUntil(ts, "pid of "+strings.Join(args[1:], " "), func() error {
		dir := filepath.Join(ts.Getenv("ROOT"), "plugin", args[1], args[2])
		b, err := os.ReadFile(filepath.Join(dir, "daemon.pid"))
		pid, _, _ := strings.Cut(string(b), " ")
		if errors.Is(err, fs.ErrNotExist) { // a wrapped program
			var run plugin.Process
			run, err = service.ReadRun(dir)
			pid = strconv.Itoa(run.PID)
		}
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(pid)
		if err != nil || len(args) > 3 && pid == args[3] || !isRunning(n) {
			return fmt.Errorf("pid file contains %q", b)
		}
		ts.Setenv(args[0], pid)
		return nil
	})
}

// same A B checks that two values are equal.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if checkUsage(ts, len(args) == 2, "same A B"); neg == (args[0] == args[1]) {
		ts.Fatalf("%q and %q", args[0], args[1])
	}
}

// signal SIGNAL PID|PROGRAM sends a signal to a process, or to the last background
// program of that name.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 2, "signal SIGNAL PID|PROGRAM")
	sig, ok := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT}[args[0]]
	checkUsage(ts, ok, "signal KILL|TERM|HUP|INT …")
	pid, err := strconv.Atoi(args[1])
	if err != nil {
		for _, cmd := range ts.BackgroundCmds() {
			if filepath.Base(cmd.Path) == args[1] {
				pid = cmd.Process.Pid
			}
		}
	}
	checkUsage(ts, pid > 0, "signal SIGNAL PID|PROGRAM, which must run")
	ts.Check(syscall.Kill(pid, sig))
}

func cmdMkfifo(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}

// awaitfile PATTERN waits for a file.
func cmdAwaitFile(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 1, "awaitfile PATTERN")
	retryUntil(ts, "await file "+args[0], func() error {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err != nil || len(found) == 0 {
			return fmt.Errorf("found %v, %w", found, err)
		}
		return nil
	})
}

// awaitgone FILE waits until the file does not exist.
func cmdAwaitGone(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 1, "awaitgone FILE")
	retryUntil(ts, "await the removal of "+args[0], func() error {
		if _, err := os.Stat(ts.MkAbs(args[0])); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("it exists: %w", err)
		}
		return nil
	})
}

// awaittext FILE TEXT waits until the file contains the text.
func cmdAwaitText(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 2, "awaittext FILE TEXT")
	retryUntil(ts, "await "+args[1]+" in "+args[0], func() error {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && !strings.Contains(string(b), args[1]) {
			err = fmt.Errorf("it contains %s", b)
		}
		return err
	})
}

// empty FOLDER checks that the folder is empty.
func cmdEmpty(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, len(args) == 1, "empty FOLDER")
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if (len(entries) == 0) == neg {
		ts.Fatalf("%s holds %v", args[0], entries)
	}
}

// nothing runs from FOLDER waits until no process runs a program of the folder or has
// a path of it as an argument.
func cmdNothing(ts *testscript.TestScript, neg bool, args []string) {
	checkUsage(ts, !neg && len(args) == 3, "nothing runs from FOLDER")
	retryUntil(ts, "nothing runs from "+args[2], func() error {
		if left := listProcesses(args[2]); len(left) > 0 {
			return fmt.Errorf("processes %v run", left)
		}
		return nil
	})
}

// isRunning reports whether the process runs: a zombie does not.
func isRunning(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(b), ") ")
	return err == nil && ok && rest[0] != 'Z' && rest[0] != 'X'
}

// listProcesses returns the processes whose program, arguments or PLUGIN_DIR are in
// the folder.
func listProcesses(dir string) (pids []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		exe, _ := os.Readlink(filepath.Join(proc, "exe"))
		cmdline, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(proc, "environ"))
		if !strings.HasPrefix(exe, dir+"/") && !strings.Contains(string(cmdline), dir+"/") &&
			!strings.Contains(string(environ), "PLUGIN_DIR="+dir+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil && pid != os.Getpid() && isRunning(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killAll kills the processes that listProcesses returns, until there are none.
func killAll(dir string) {
	for left := listProcesses(dir); len(left) > 0; left = listProcesses(dir) {
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
