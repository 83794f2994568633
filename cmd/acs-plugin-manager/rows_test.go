package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/registry"
)

// TestTimeoutKillsProcessGroup checks that a timeout kills a command and all processes
// of its group (CL-05).
func TestTimeoutKillsProcessGroup(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	installScript(t, root, "hung", "Once", "1", "#!/bin/sh\nsleep 600 & echo $! >$PLUGIN_DIR/pid\ntrap '' TERM\nwait; sleep 600\n")
	if code, _, stderr := runOnRoot(t, root, "-e", "--local", "-P", "hung"); code != exitTimeout {
		t.Errorf("exit %d, want %d; stderr %s", code, exitTimeout, stderr)
	}
	b, err := os.ReadFile(filepath.Join(root, "plugin", "hung", "1.0", "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if state, err := os.ReadFile(filepath.Join("/proc", string(bytes.TrimSpace(b)), "stat")); err == nil && syscall.Kill(pid, 0) == nil && !strings.Contains(string(state), ") Z ") {
		t.Errorf("the child process is still running: %s", state)
	}
}

// TestRemove checks that a plugin is started again when its --uninstall fails, and
// otherwise recorded as removed, reported and deleted (CL-10).
func TestRemove(t *testing.T) {
	s := newTraceHost(t)
	verbs := filepath.Join(s.root, "verbs")
	for name, code := range map[string]string{"veto": "9", "goes": "0"} {
		s.installPlugin(name, "1.0", "Persist", fields{"addSysTag": true}, "#!/bin/sh\necho "+name+" $1 >>"+verbs+"\n[ \"$1\" = --uninstall ] && exit "+code+"\nexit 0\n")
	}
	s.expectExit(s.URL, 9, "--uninstall", "-r", "-P", "veto")
	s.expectUnchanged("veto", "1.0")
	s.takeRequests()
	s.expectExit(s.URL, 0, "", "-r", "-P", "goes")
	b, err := os.ReadFile(verbs)
	if err != nil || string(b) != "veto --stop\nveto --uninstall\nveto --start\ngoes --stop\ngoes --uninstall\n" {
		t.Errorf("verbs %q, %v", b, err)
	}
	l, err := registry.New(registry.Options{Root: s.root}).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Plugins {
		if p.Removed != (p.Name == "goes" || p.Name == "p_removed") {
			t.Errorf("removed: %+v", p)
		}
	}
	if _, err := os.Stat(filepath.Join(s.root, "plugin", "goes")); !os.IsNotExist(err) {
		t.Errorf("folder of the removed plugin: %v, want none", err)
	}
	if got := s.findRequests(); len(got) != 1 || !strings.Contains(got[0], `"status":"REMOVED"`) || !strings.Contains(got[0], `"sysTagType":"remove"`) {
		t.Errorf("requests %q, want one with status REMOVED and sysTagType remove", got)
	}
}

// daemonScript is a plugin with a process that runs %s on SIGTERM.
const daemonScript = `#!/bin/sh
pid=$(cat "$PLUGIN_DIR/../../../pid" 2>/dev/null)
case "$1" in
--status) kill -0 "$pid" 2>/dev/null ;;
--start)
	setsid sh -c 'trap "%s" TERM; echo $$ > "$PLUGIN_DIR/../../../pid"; for i in $(seq 12000); do sleep 0.05; done' >/dev/null 2>&1 &
	while ! test -s "$PLUGIN_DIR/../../../pid"; do sleep 0.01; done ;;
--stop) kill "$pid" ;;
esac
`

// TestRemoveDaemon checks that a removal waits for a slow daemon, and removes nothing
// when the daemon does not stop (CL-10).
func TestRemoveDaemon(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		onTERM string
		code   int
	}{
		"CL-10 slow":          {"sleep 0.5; exit", 0},
		"CL-10 does not stop": {":", exitRemoveFiles},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			installScript(t, root, "daemon", "Persist", "1", fmt.Sprintf(daemonScript, tt.onTERM))
			if code, _, stderr := runOnRoot(t, root, "-e", "--local", "-P", "daemon", "-p", "--start"); code != 0 {
				t.Fatalf("start: exit %d, stderr %s", code, stderr)
			}
			text, err := os.ReadFile(filepath.Join(root, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Kill(pid, syscall.SIGKILL)
			code, _, stderr := runOnRoot(t, root, "-r", "-P", "daemon", "--fetchTimeout", "20")
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			running := err == nil && !strings.Contains(string(stat), ") Z ")
			_, err = os.Stat(filepath.Join(root, "plugin", "daemon", "1.0", "main.sh"))
			_, installed := findRecord(t, root, "daemon")
			want := tt.code != 0 // for all three
			if code != tt.code || running != want || (err == nil) != want || installed != want {
				t.Errorf("exit %d, want %d; running %t, folder error %v, installed %t, want %t; stderr %s", code, tt.code, running, err, installed, want, stderr)
			}
		})
	}
}

// fullOutput is an output on a full disk.
type fullOutput struct{}

func (fullOutput) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// blockedOutput is an output that blocks until it is closed.
type blockedOutput chan struct{}

func (s blockedOutput) Write(p []byte) (int, error) { <-s; return len(p), nil }

// TestUnreadOutput checks that unread output does not keep a lock held (EV-27).
func TestUnreadOutput(t *testing.T) {
	root, unread := t.TempDir(), make(blockedOutput)
	installScript(t, root, "fails", "Once", "5", "#!/bin/sh\nkill -KILL $$\n")
	i := invocation{args: []string{"-r", "-P", "fails"}, environ: []string{"SUPERVISOR_ROOT=" + root}, streams: streams{stdout: unread, stderr: unread}}
	code, flush := runQueued(t.Context(), i)
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	close(unread)
	if code := flush(0); code != 0 {
		t.Errorf("flush: exit %d", code)
	}
	code, flush = runQueued(t.Context(), invocation{args: []string{"-v"}, streams: streams{stdout: fullOutput{}, stderr: fullOutput{}}})
	if code = flush(code); code != exitUsage {
		t.Errorf("unwritable: exit %d", code)
	}
}

// TestVersionLock checks that a waiting program continues when the holder of the lock is
// done, even without a result (CL-12).
func TestVersionLock(t *testing.T) {
	s := newTraceHost(t)
	release, _, err := lock.Exclusive(t.Context(), layout.VersionLock(s.root, "p_up", "1.0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	stderr := &doOnText{text: "waiting for", do: release} // the holder installed nothing
	i := invocation{args: []string{"-e", "-P", "p_up", "-p", "--install"}, environ: newEnviron(s.root, s.URL), streams: streams{stderr: stderr}}
	if code, _, _ := invoke(t, i); code != 0 || stderr.do != nil {
		t.Errorf("exit %d, want 0 after a wait; stderr %q", code, stderr.String())
	}
	s.expectUnchanged("p_up", "1.0")
}

// doOnText is an output that calls do once when text was written to it.
type doOnText struct {
	bytes.Buffer
	text string
	do   func() // nil: called
}

func (d *doOnText) Write(b []byte) (int, error) {
	n, err := d.Buffer.Write(b)
	if d.do != nil && strings.Contains(d.String(), d.text) {
		do := d.do
		d.do = nil
		do()
	}
	return n, err
}

// TestSupervisorBeside checks that a plugin runs while another process starts it, and
// waits while another process changes it (RS-11).
func TestSupervisorBeside(t *testing.T) {
	s := newTraceHost(t)
	release, _, err := lock.Shared(t.Context(), layout.NameLock(s.root, "once_ok"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.expectExit(s.URL, 0, "once_ok args", "-e", "--local", "-P", "once_ok")
	release()
	if release, _, err = lock.Exclusive(t.Context(), layout.NameLock(s.root, "once_ok"), nil); err != nil {
		t.Fatal(err)
	}
	s.expectExit(s.URL, 232, "lock", "-e", "--local", "-P", "once_ok", "--fetchTimeout", "1")
	time.AfterFunc(100*time.Millisecond, release)
	s.expectExit(s.URL, 0, "once_ok args", "-e", "--local", "-P", "once_ok")
}

// TestRejectedPackageWritesNothing checks that no file of a package with a bad entry is
// written, inside or outside of the root (CL-13).
func TestRejectedPackageWritesNothing(t *testing.T) {
	for name, bad := range map[string][]zipEntry{
		"leaves":     {newZipEntry("../out", 0o644, "x")},
		"absolute":   {newZipEntry("/tmp/out-of-a-package", 0o644, "x")},
		"symlink":    {newZipEntry("link", fs.ModeSymlink|0o777, "/etc/passwd")},
		"device":     {newZipEntry("dev", fs.ModeDevice|0o644, "")},
		"setuid":     {newZipEntry("su", fs.ModeSetuid|0o755, "x")},
		"twice":      {newZipEntry("x", 0o644, "a"), newZipEntry("x", 0o644, "b")},
		"two cases":  {newZipEntry("x", 0o644, "a"), newZipEntry("X", 0o644, "b")},
		"ratio":      {newZipEntry("zeros", 0o644, strings.Repeat("\x00", 4<<20))},
		"many":       {newZipEntry("1", 0o644, ""), newZipEntry("2", 0o644, ""), newZipEntry("3", 0o644, ""), newZipEntry("4", 0o644, "")},
		"large file": {newZipEntry("large", 0o644, strings.Repeat("0123456789abcdef", 8<<10))},
	} {
		t.Run("CL-13 "+name, func(t *testing.T) {
			s := newTraceHost(t)
			path := filepath.Join(s.files, "bad.zip")
			writeZip(t, path, append([]zipEntry{newZipEntry("config.json", 0o644, goodConfig), newZipEntry("main.sh", 0o755, "#!/bin/sh\n")}, bad...)...)
			limits := []string{"SUPERVISOR_INSTALL_MAX_ENTRIES=5", "SUPERVISOR_INSTALL_MAX_SIZE=100000"}
			if name == "ratio" { // the size limit would reject it first
				limits = []string{"SUPERVISOR_INSTALL_MAX_RATIO=10"}
			}
			code, _, stderr := invoke(t, invocation{args: []string{"-e", "-F", path}, environ: newEnviron(s.root, s.URL, limits...)})
			if code != exitUnzip {
				t.Errorf("exit %d, want %d; stderr %s", code, exitUnzip, stderr)
			}
			s.expectUnchanged("filed", "")
			for _, out := range []string{filepath.Join(s.root, "plugin", "filed"), filepath.Join(s.root, "out"), "/tmp/out-of-a-package"} {
				if _, err := os.Lstat(out); !os.IsNotExist(err) {
					t.Errorf("%s: %v, want no such file", out, err)
				}
			}
		})
	}
}

// TestExitCodes checks that each exit code of this program has an error code of events,
// except 233, which SPEC 11 does not have, and that of removals, which send no event.
func TestExitCodes(t *testing.T) {
	for code := exitLock; code <= exitTimeout; code++ {
		if errorCodes[code] == "" && code != 233 && code != exitRemoveFiles {
			t.Errorf("exit %d has no error code", code)
		}
	}
}
