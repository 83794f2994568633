package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/outbox"
	"pluginsupervisor/internal/version"
)

// difference is one difference that was found between both programs, and the decision.
type difference struct {
	what     string
	existing string
	ours     string // "": like the existing program
	why      string // "": no difference
	check    func(t *testing.T, s *differenceHost)
}

// differenceHost is a host on which this program runs.
type differenceHost struct {
	*samplesHost
	t    *testing.T
	root string
}

// runProgram runs the program on the host.
func (s *differenceHost) runProgram(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return invoke(s.t, s.invocation(s.root, args...))
}

// expectExit runs the program and checks the exit code.
func (s *differenceHost) expectExit(want int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	code, stdout, stderr := s.runProgram(args...)
	if code != want {
		s.t.Errorf("%q: exit %d, want %d; stderr %s", args, code, want, stderr)
	}
	return stdout, stderr
}

// expectOutput runs the program and checks its output.
func (s *differenceHost) expectOutput(want string, args ...string) {
	s.t.Helper()
	if got, _ := s.expectExit(0, args...); got != want {
		s.t.Errorf("%q: stdout %q, want %q", args, got, want)
	}
}

// samplePath returns the path of a sample.
func (s *differenceHost) samplePath(name string) string { return filepath.Join(s.files, name) }

// writeSample writes a package with that script and returns its path.
func (s *differenceHost) writeSample(name, kind, script string, more fields) string {
	s.t.Helper()
	config := fields{"pluginType": kind}
	for k, v := range more {
		config[k] = v
	}
	path := filepath.Join(s.t.TempDir(), name+".zip")
	sample{config: sampleConfig(name, "1.0", config), script: script}.writeTo(s.t, path)
	return path
}

// expectRequest requires a request with all the parts.
func (s *differenceHost) expectRequest(parts ...string) {
	s.t.Helper()
	if len(s.findRequests(parts...)) == 0 {
		s.t.Errorf("no request with %q: %q", parts, s.findRequests())
	}
}

const (
	pathReport = "/luban/api/v1/plugin/report_status"
	pathEvent  = "/luban/api/metrics"
)

// waitScript is a script that waits for the file "go".
const waitScript = "#!/bin/sh\necho begins\nwhile ! test -e \"$PLUGIN_DIR/go\"; do sleep 0.01; done\necho ends\n"

// waitFor waits until the condition holds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("timeout of 10 s waiting for %s", what)
		}
	}
}

// decidedDifferences holds all differences that were found, in the order of their numbers.
var decidedDifferences = [...]difference{
	{"no configuration, the program is in BASE/<version>", "BASE is the parent of its folder", "", "", func(t *testing.T, s *differenceHost) {
		i := invocation{args: []string{"--list", "--local"}, executable: filepath.Join(s.root, "2.2.3.578", "acs-plugin-manager")}
		if code, stdout, stderr := invoke(t, i); code != 0 || !strings.Contains(stdout, "argy") {
			t.Errorf("exit %d; %s; %s", code, stdout, stderr)
		}
	}},
	{"`ALIYUN_ASSIST_SERVER_HOST`, `_CERT_PATH`, `_PROXY` alone are set", "used", "", "", func(t *testing.T, s *differenceHost) {
		plane := httptest.NewTLSServer(s)
		defer plane.Close()
		code, stdout, stderr := invoke(t, invocation{args: []string{"--list"}, environ: []string{
			"SUPERVISOR_ROOT=" + s.root, envServerHost + "=" + plane.Listener.Addr().String(), envCertPath + "=" + writeCertificate(t, plane),
		}})
		if code != 0 || !strings.Contains(stdout, "alpha") {
			t.Errorf("exit %d; %s; %s", code, stdout, stderr)
		}
	}},
	{"`-l -L -S -v -V --verbose --pluginId --experimental-foreground`", "known", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "-l", "-L", "-V")
		s.expectExit(0, "-S")
		s.expectExit(0, "-v")
		s.expectOutput("args=0\n", "-e", "-L", "-P", "argy", "--pluginId", "z", "--experimental-foreground", "--verbose")
	}},
	{"an unknown long flag", "ignored, exit 0", "", "", func(t *testing.T, s *differenceHost) {
		if _, stderr := s.expectExit(0, "--list", "--local", "--nonsense", "value"); !strings.Contains(stderr, "--nonsense") {
			t.Errorf("no warning of the unknown flag: %s", stderr)
		}
	}},
	{"`--paramsV2 \"a b\" -P x`, `--paramsV2=\"a\"`", "one value, split as by a shell; other flags may follow", "", "", func(t *testing.T, s *differenceHost) {
		s.expectOutput("args=2\n<a>\n<b c>\n", "-e", "-L", "--paramsV2", "a 'b c'", "-P", "argy")
		s.expectOutput("args=1\n<a>\n", "-e", "-L", "-P", "argy", "--paramsV2=a")
	}},
	{"`-p 'a b,c'`, quotes, backslash, `a,,b`, blanks", "separators become blanks, then split as by a shell", "", "", func(t *testing.T, s *differenceHost) {
		s.expectOutput("args=3\n<a>\n<b>\n<c>\n", "-e", "-L", "-P", "argy", "-p", "a b,c")
		s.expectOutput("args=2\n<a b>\n<c,d>\n", "-e", "-L", "-P", "argy", "-s", ";", "-p", `'a b';;"c,d"`)
		s.expectOutput("args=1\n<a b>\n", "-e", "-L", "-P", "argy", "-p", `a\ b`)
	}},
	{"executable 0644 (0600) in the package", "made executable by the installation", "", "", func(t *testing.T, s *differenceHost) {
		s.expectOutput("args=1\n<x>\n", "-e", "-F", s.samplePath("modeless_1.0.zip"), "-p", "x")
	}},
	{"`timeout` above 3600 in record or config.json", "applied", "", "", func(t *testing.T, s *differenceHost) {
		if d := (options{}).commandTimeout("7200"); d != 2*time.Hour {
			t.Errorf("deadline %s", d)
		}
	}},
	{"`timeout` 0 or negative, `--timeout 0`, `--timeout -1`", "no deadline", "", "", func(t *testing.T, s *differenceHost) {
		for _, text := range []string{"0", "-5"} {
			o, err := parseOptions([]string{"-e", "--timeout", text})
			if err != nil || o.commandTimeout("7") > 0 || (options{}).commandTimeout(text) > 0 {
				t.Errorf("%s: %v, %s", text, err, o.commandTimeout("7"))
			}
		}
		s.expectExit(0, "-e", "-L", "-P", "shorty", "-p", "sleep,0", "--timeout", "0")
	}},
	{"standard error of a plugin", "standard error", "", "", func(t *testing.T, s *differenceHost) {
		if stdout, stderr := s.expectExit(0, "-e", "-L", "-P", "sh", "-p", "both"); stdout != "out1\nout2\n" || stderr != "err1\n" {
			t.Errorf("stdout %q, stderr %q", stdout, stderr)
		}
		if stdout, stderr := s.expectExit(0, "-e", "-L", "-P", "psh", "-p", "--start"); stdout != "started-out\n" || stderr != "started-err\n" {
			t.Errorf("stdout %q, stderr %q", stdout, stderr)
		}
	}},
	{"standard input of a plugin, the terminal", "the caller's", "", "", func(t *testing.T, s *differenceHost) {
		in := createOutput(t, "stdin")
		if _, err := in.WriteString("typed"); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		i := s.invocation(s.root, "-e", "-L", "-P", "sh", "-p", "stdin")
		i.in = in
		if _, stdout, _ := invoke(t, i); stdout != "in=[typed]\n" {
			t.Errorf("stdout %q", stdout)
		}
	}},
	{"output while the plugin runs", "at once", "", "", func(t *testing.T, s *differenceHost) {
		file, i := s.writeSample("waits", "Once", waitScript, nil), s.invocation(s.root, "-e", "-F", "")
		i.args[2] = file
		out := createOutput(t, "stdout")
		i.in, i.out, i.err, i.stdout, i.stderr = out, out, out, out, out
		done := make(chan int)
		go func() { done <- run(t.Context(), i) }()
		waitFor(t, "output", func() bool { return strings.Contains(readOutput(t, out), "begins") })
		s.continueScript("waits")
		if code := <-done; code != 0 || !strings.Contains(readOutput(t, out), "ends") {
			t.Errorf("exit %d, %s", code, readOutput(t, out))
		}
	}},
	{"output of more than 4 MiB", "complete", "", "", func(t *testing.T, s *differenceHost) {
		if stdout, _ := s.expectExit(0, "-e", "-L", "-P", "sh", "-p", "big"); len(stdout) != 6000000+len("\nlast\n") {
			t.Errorf("%d bytes", len(stdout))
		}
	}},
	{"a second command for a plugin during the run that installed it", "runs", "", "", func(t *testing.T, s *differenceHost) {
		file, done := s.writeSample("waits", "Once", waitScript, nil), make(chan int)
		i := s.invocation(s.root, "-e", "-F", file)
		out := createOutput(t, "stdout")
		i.in, i.out, i.err, i.stdout, i.stderr = out, out, out, out, out
		go func() { done <- run(t.Context(), i) }()
		waitFor(t, "the first", func() bool { return strings.Contains(readOutput(t, out), "begins") })
		s.expectExit(exitTimeout, "-e", "-L", "-P", "waits", "--fetchTimeout", "1", "--timeout", "1") // it ran until the timeout
		s.continueScript("waits")
		if code := <-done; code != 0 {
			t.Errorf("exit %d", code)
		}
	}},
	{"`--start,extra`, `x,--start`", "then `--status`, which is reported", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "-e", "-L", "-P", "psh", "-p", "--start,extra")
		s.expectExit(0, "-e", "-L", "-P", "psh", "-p", "x,--start")
		if got := s.findRequests(pathReport, "PERSIST_RUNNING"); len(got) != 2 {
			t.Errorf("reported %q", got)
		}
	}},
	{"a status report fails", "1 + 3 tries, 2 s apart; then it is lost", "1 + 3 tries, 2 s apart; then it is queued for the supervisor", "a report is delivered (CL-20)", func(t *testing.T, s *differenceHost) {
		plane, tries := startFailingPlane(t)
		code, _, stderr := invoke(t, invocation{
			args: []string{"-r", "-P", "psh"}, environ: []string{"SUPERVISOR_ROOT=" + s.root, "SUPERVISOR_CONTROL_PLANE_URL=" + plane},
		})
		left, err := outbox.List(s.root)
		if code != 0 || tries() != reportTries || err != nil || len(left) != 1 || left[0].Name != "psh" {
			t.Errorf("exit %d, %d tries, left %+v, %v; %s", code, tries(), left, err, stderr)
		}
	}},
	{"`--status`: diagnostics", "for a missing executable, on standard output", "none without -V", "the existing agent parses both streams as one (CL-18)", func(t *testing.T, s *differenceHost) {
		if err := os.Remove(filepath.Join(s.root, "plugin", "psh", "1.0", "main.sh")); err != nil {
			t.Fatal(err)
		}
		if stdout, stderr := s.expectExit(0, "--status"); stderr != "" || !strings.HasPrefix(stdout, "[\n") {
			t.Errorf("stdout %q, stderr %q", stdout, stderr)
		}
		if _, stderr := s.expectExit(0, "--status", "-V"); !strings.Contains(stderr, "psh") {
			t.Errorf("with -V: %q", stderr)
		}
	}},
	{"`--file` of the version that is installed", "not unpacked again", "", "", func(t *testing.T, s *differenceHost) {
		main := filepath.Join(s.root, "plugin", "argy", "1.0", "main.sh")
		if err := os.WriteFile(main, []byte("#!/bin/sh\necho installed\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		s.expectOutput("installed\n", "-e", "-F", s.samplePath("argy_1.0.zip"))
	}},
	{"`--file z -P other`, `--file z -n 9`", "`-P` and `-n` are ignored", "", "", func(t *testing.T, s *differenceHost) {
		s.expectOutput("args=0\n", "-e", "-F", s.samplePath("argy_2.0.zip"), "-P", "other", "-n", "9")
	}},
	{"`--file`, osType both", "238", "installed", "osType both means every system (spec, section 1)", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "-e", "-F", s.samplePath("bothos_1.0.zip"), "-p", "a")
	}},
	{"names and versions with blanks, CJK, `@ : ~`; none at all", "installed", "installed; without a name or a version 238", "a record without a name or a version cannot be removed again (ST-15)", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "-e", "-F", s.samplePath("blank.zip"), "-p", "a")
		s.expectExit(0, "-e", "-L", "-P", "my plugin", "-n", "1.0 beta", "-p", "a")
		s.expectExit(0, "-e", "-F", s.samplePath("uni_1.0.zip"), "-p", "a")
		s.expectExit(0, "-e", "-F", s.samplePath("nametilde.zip"), "-p", "a")
		s.expectExit(exitPackage, "-e", "-F", s.samplePath("nover.zip"))
		s.expectExit(exitPackage, "-e", "-F", s.samplePath("noname.zip"))
	}},
	{"symbolic link, names that differ only in case, backslash in a package", "written as a file, installed, 238", "236", "such a name is ambiguous (CL-13)", func(t *testing.T, s *differenceHost) {
		s.expectExit(exitUnzip, "-e", "-F", s.samplePath("dupent.zip"))
	}},
	{"config.json is `[]`", "a plugin without a name", "237", "config.json is an object (CL-11)", func(t *testing.T, s *differenceHost) {
		s.expectExit(exitConfig, "-e", "-F", s.samplePath("arr.zip"))
	}},
	{"pluginType \"\" in config.json", "Unknown, not reported", "Once, ONCE_INSTALLED", "as in a record (spec, section 1)", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "-e", "-F", s.writeSample("untyped", "", verbScript, nil))
		s.expectRequest(pathReport, "untyped", "ONCE_INSTALLED")
	}},
	{"`--status` hangs after a verb", "nothing is reported", "PERSIST_FAIL", "a plugin that hangs has failed (CL-03)", func(t *testing.T, s *differenceHost) {
		hung := s.writeSample("hung", "Persist", "#!/bin/sh\n[ $1 = --status ] && sleep 60\nexit 0\n", fields{"timeout": "1"})
		s.expectExit(0, "-e", "-F", hung, "-p", "--start")
		s.expectRequest(pathReport, "hung", "PERSIST_FAIL")
	}},
	{"sysTagType when a version without addSysTag replaces another", "always `remove`", "`remove` only if the other had addSysTag", "there is no tag to remove (spec, section 3)", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "-e", "-P", "alpha", "-n", "1.0", "-p", "--install")
		s.expectExit(0, "-e", "-P", "alpha", "-n", "2.0", "-p", "--upgrade")
		if got := s.findRequests(pathReport, "sysTagType"); len(got) > 0 {
			t.Errorf("reported %q", got)
		}
		s.expectExit(0, "-e", "-P", "tagged", "-p", "--start")
		s.expectRequest(pathReport, "tagged", `"sysTagType":"add"`)
	}},
	{"a listed package with arch \"\"", "selected, then 238", "installed", "arch \"\" is every architecture (spec, section 1)", func(t *testing.T, s *differenceHost) {
		s.all["tool_1.0.zip"].config.(fields)["arch"] = ""
		s.expectExit(0, "-e", "-P", "tool", "-p", "x")
	}},
	{"`-e`, `-e --local`, `--remove` without -P; `--verify` without -u", "234, 234, 234, 240; an event for the first two", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(exitNotFound, "-e")
		s.expectExit(exitNotFound, "-e", "--local")
		s.expectExit(exitNotFound, "--remove")
		s.expectExit(exitDownload, "--verify")
		if got := s.findRequests(pathEvent, "PACKAGE_NOT_FOUND"); len(got) != 2 {
			t.Errorf("events %q", got)
		}
	}},
	{"two commands (`--list --status`)", "the first of --version, --list, --verify, --status, --exec, --remove is run", "", "", func(t *testing.T, s *differenceHost) {
		if stdout, _ := s.expectExit(0, "--status", "--list", "--local"); !strings.HasPrefix(stdout, "Name") {
			t.Errorf("stdout %q", stdout)
		}
		s.expectExit(0, "-e", "--remove", "-L", "-P", "argy")
		if readRecord(t, s.root, "argy").Removed {
			t.Error("removed")
		}
	}},
	{"a flag twice (`-P a -P a`, `-e -e`)", "1", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(exitUsage, "-e", "-L", "-P", "argy", "-P", "argy")
		s.expectExit(exitUsage, "-e", "-e", "-L", "-P", "argy")
	}},
	{"`-Pname`; `--params:a`", "1; known", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(exitUsage, "-e", "-L", "-Pargy")
		s.expectOutput("args=1\n<a>\n", "-e", "-L", "-P:argy", "--params:a")
	}},
	{"`--list -P x -n v`", "the version is not sent", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "--list", "-P", "alpha", "-n", "1.0")
		s.expectRequest("/plugin/list", `"version":""`)
	}},
	{"order of `--list`", "as the control plane lists", "", "", func(t *testing.T, s *differenceHost) {
		stdout, _ := s.expectExit(0, "--list")
		if one, two := strings.Index(stdout, "alpha   1.0"), strings.Index(stdout, "alpha   2.0"); one < 0 || two < one {
			t.Errorf("stdout %s", stdout)
		}
	}},
	{"`--version`, also in the User-Agent", "`2.2.3.578`", "the version of this program", "two programs with the same version could not be distinguished", func(t *testing.T, s *differenceHost) {
		s.expectOutput(version.String()+"\n", "--version")
	}},
	{"`--verify -u /a/path.zip`", "240, a file has a file: URL", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(exitDownload, "-f", "-u", s.samplePath("argy_1.0.zip"))
		s.expectOutput("args=1\n<a>\n", "-f", "-u", "file:"+s.samplePath("argy_1.0.zip"), "-p", "a")
	}},
	{"`--verify`: the server closes the connection", "one try", "", "", func(t *testing.T, s *differenceHost) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tries := make(chan int, 1)
		go func() {
			n := 0
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				c.Close()
				n++
			}
			tries <- n
		}()
		s.expectExit(exitDownload, "-f", "-u", "http://"+l.Addr().String()+"/x.zip")
		l.Close()
		if n := <-tries; n != 1 {
			t.Errorf("%d tries", n)
		}
	}},
	{"TERM or INT to the program", "the plugin keeps running", "the plugin is killed, 246", "a canceled run must not hold a lock", func(t *testing.T, s *differenceHost) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		i, out := s.invocation(s.root, "-e", "-L", "-P", "sh", "-p", "sleep,60"), createOutput(t, "stdout")
		i.in, i.out, i.err, i.stdout, i.stderr = out, out, out, out, out
		if code := run(ctx, i); code != exitNotRun {
			t.Errorf("exit %d; %s", code, readOutput(t, out))
		}
	}},
	{"the plugin exits 255", "event with exitCode 255", "", "", func(t *testing.T, s *differenceHost) {
		if _, stderr := s.expectExit(255, "-e", "-L", "-P", "sh", "-p", "rc,255"); stderr != "" {
			t.Errorf("stderr %q", stderr)
		}
		s.expectRequest(pathEvent, `\"exitCode\":\"255\"`, `\"errorCode\":\"\"`)
		s.expectExit(255, "-e", "-L", "-P", "sh", "-p", "sig")
		s.expectRequest(pathEvent, `\"exitCode\":\"-1\"`)
	}},
	{"the plugin exits 246 or 247", "event with an errorCode", "errorCode \"\"", "an errorCode means that the plugin did not run", func(t *testing.T, s *differenceHost) {
		s.expectExit(246, "-e", "-L", "-P", "sh", "-p", "rc,246")
		s.expectRequest(pathEvent, `\"exitCode\":\"246\"`, `\"errorCode\":\"\"`)
	}},
	{"errorCode of an event", "LOCKING_ERR, LOAD_INSTALLEDPLUGINS_ERR, DUMP_INSTALLEDPLUGINS_ERR, GET_ONLINE_PACKAGE_INFO_ERR, EXECUTABLE_PERMISSION_ERR, and the system error", "", "", func(t *testing.T, s *differenceHost) {
		for want, f := range map[string]error{
			"LOCKING_ERR.ResourceTemporarilyUnavailable":      failWith(exitLock, "lock: %w", context.DeadlineExceeded),
			"LOAD_INSTALLEDPLUGINS_ERR.PermissionDenied":      failWith(exitDatabaseRead, "open: %w", os.NewSyscallError("open", syscall.EACCES)),
			"DUMP_INSTALLEDPLUGINS_ERR.NoSpaceLeftOnDevice":   failWith(exitDatabaseWrite, "write: %w", syscall.ENOSPC),
			"GET_ONLINE_PACKAGE_INFO_ERR.ConnectionRefused":   failWith(exitList, "list: %w", syscall.ECONNREFUSED),
			"EXECUTABLE_PERMISSION_ERR.OperationNotPermitted": failWith(exitPermission, "chmod: %w", syscall.EPERM),
			"EXECUTE_FAILED_ERR.ExecFormatError":              failWith(exitNotRun, "run: %w", syscall.ENOEXEC),
			"GET_ONLINE_PACKAGE_INFO_ERR":                     failWith(exitList, "list: %w", errors.New("answered 500")),
			"PACKAGE_NOT_FOUND":                               failWith(exitNotFound, "open: %w", syscall.ENOENT),
		} {
			code, _ := exitCode(f)
			if got := errorCode(code, f); got != want {
				t.Errorf("%v: %s, want %s", f, got, want)
			}
		}
	}},
	{"event of a rejected `--file`", "with pluginName and pluginVersion", "", "", func(t *testing.T, s *differenceHost) {
		for file, name := range map[string]string{"winos_1.0.zip": "winos", "norun_1.0.zip": "norun"} {
			s.expectExit(exitPackage, "-e", "-F", s.samplePath(file))
			s.expectRequest(pathEvent, `\"pluginName\":\"`+name+`\"`, `\"pluginVersion\":\"1.0\"`, `\"pluginType\":\"\"`, "PLUGIN_FORMAT_ERR")
		}
	}},
	{"the record after an installation", "pluginId, isPreInstalled, timeout, publisher, os and arch as listed; of a file `local`, its MD5 and `local_<name>_<version>`", "", "", func(t *testing.T, s *differenceHost) {
		s.expectExit(0, "-e", "-P", "alpha", "-n", "1.0", "-p", "--install")
		if r := readRecord(t, s.root, "alpha"); r.PluginID != "id-alpha_1.0.zip" || r.IsPreInstalled != "no" || r.Timeout != "33" || r.Publisher != "listed" || r.OSType != "linux" || r.Arch != "all" {
			t.Errorf("listed: %+v", r)
		}
		s.expectExit(0, "-e", "-F", s.samplePath("badtime_1.0.zip"), "-p", "a")
		if r := readRecord(t, s.root, "badtime"); r.PluginID != "local_badtime_1.0" || r.URL != "local" || len(r.MD5) != 32 || r.Timeout != "60" {
			t.Errorf("file: %+v", r)
		}
		s.expectExit(0, "-e", "-F", s.samplePath("alpha_2.0.zip"), "-p", "a")
		if r := readRecord(t, s.root, "alpha"); r.PluginID != "id-alpha_1.0.zip" || r.Version != "2.0" {
			t.Errorf("record of a file that replaces a listed version: %+v", r)
		}
	}},
	{"messages (`Plugin[x] installed!`, `RemovePlugin …`, errors)", "standard output", "standard error, with other texts", "standard output is for programs", func(t *testing.T, s *differenceHost) {
		s.expectOutput("args=0\n", "-e", "-F", s.samplePath("argy_2.0.zip"))
		if stdout, stderr := s.expectExit(0, "-r", "-P", "argy"); stdout != "" || stderr == "" {
			t.Errorf("stdout %q, stderr %q", stdout, stderr)
		}
	}},
}

// continueScript lets a plugin with waitScript continue.
func (s *differenceHost) continueScript(name string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.root, "plugin", name, "1.0", "go"), nil, 0o600); err != nil {
		s.t.Error(err)
	}
}

// startFailingPlane returns the URL of a control plane that fails all requests, and a
// function that counts them.
func startFailingPlane(t *testing.T) (address string, tries func() int) {
	counted := make(chan struct{}, 100)
	plane := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		counted <- struct{}{}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(plane.Close)
	return plane.URL, func() int { return len(counted) }
}

// TestDifferences checks the decision of each difference to the existing program, and the
// table in the documents (CL-15, CL-16, CL-17, CL-18, CL-19, CL-20, CL-21, CL-22, CL-23).
func TestDifferences(t *testing.T) {
	var table strings.Builder
	table.WriteString("| | what | existing program | ours |\n|---|---|---|---|\n")
	t.Run("each", func(t *testing.T) {
		for i, d := range decidedDifferences {
			t.Run(fmt.Sprintf("%02d %s", i+1, d.what), func(t *testing.T) {
				t.Parallel()
				h := newSamplesHost(t)
				d.check(t, &differenceHost{h, t, h.newRoot(t, installedSamples...)})
			})
			ours := "the same"
			if d.why != "" {
				ours = d.ours + ": " + d.why
			}
			fmt.Fprintf(&table, "| %d | %s | %s | %s |\n", i+1, d.what, d.existing, ours)
		}
	})
	compareTable(t, "differences", table.String())
}
