package main

import (
	"archive/zip"
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

// TestTreeEnds: at the deadline nothing is left of a command and what it
// started, wherever that has gone in its group (CL-05).
func TestTreeEnds(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	putPlugin(t, root, "hung", "Once", "1", "#!/bin/sh\nsleep 600 & echo $! >$PLUGIN_DIR/pid\ntrap '' TERM\nwait; sleep 600\n")
	if code, _, stderr := runOnRoot(t, root, "-e", "--local", "-P", "hung"); code != exitTimeout {
		t.Errorf("exit %d; %s", code, stderr)
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
		t.Errorf("its child lives on: %s", state)
	}
}

// TestRemove: a veto keeps the plugin and starts it again; without one it is
// recorded as removed, told, and gone (CL-10).
func TestRemove(t *testing.T) {
	s := newTraceHost(t)
	verbs := filepath.Join(s.root, "verbs")
	for name, code := range map[string]string{"veto": "9", "goes": "0"} {
		s.installPlugin(name, "1.0", "Persist", map[string]any{"addSysTag": true}, "#!/bin/sh\necho "+name+" $1 >>"+verbs+"\n[ \"$1\" = --uninstall ] && exit "+code+"\nexit 0\n")
	}
	s.expectExit(s.server.URL, 9, "--uninstall", "-r", "-P", "veto")
	s.expectUnchanged("veto", "1.0")
	s.received = nil
	s.expectExit(s.server.URL, 0, "", "-r", "-P", "goes")
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
		t.Errorf("its folder: %v", err)
	}
	if len(s.received) != 1 {
		t.Fatalf("told %v", s.received)
	}
	entry := s.received[0].Body.(map[string]any)["plugin"].([]any)[0].(map[string]any)
	if entry["status"] != "REMOVED" || entry["sysTagType"] != "remove" {
		t.Errorf("told %v", entry)
	}
}

// daemonScript is a plugin with a process, which does %s when it gets SIGTERM.
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

// TestRemoveDaemon: a plugin is not deleted under its living daemon. One that
// takes its time is waited for, one that does not stop stays (CL-10).
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
			putPlugin(t, root, "daemon", "Persist", "1", fmt.Sprintf(daemonScript, tt.onTERM))
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
			lives := err == nil && !strings.Contains(string(stat), ") Z ")
			_, err = os.Stat(filepath.Join(root, "plugin", "daemon", "1.0", "main.sh"))
			r, installed, findErr := registry.New(registry.Options{Root: root}).Find(t.Context(), "daemon")
			stays := tt.code != 0
			if code != tt.code || lives != stays || (err == nil) != stays || installed != stays || findErr != nil {
				t.Errorf("exit %d, lives %t, its folder %v, its record %+v %v; stderr %s", code, lives, err, r, findErr, stderr)
			}
		})
	}
}

// fullOutput is an output that is full.
type fullOutput struct{}

func (fullOutput) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// blockedOutput is an output that is not read until it is closed.
type blockedOutput chan struct{}

func (s blockedOutput) Write(p []byte) (int, error) { <-s; return len(p), nil }

// TestUnread: output of this program that is not read keeps no lock held
// (EV-27).
func TestUnread(t *testing.T) {
	root, unread := t.TempDir(), make(blockedOutput)
	putPlugin(t, root, "fails", "Once", "5", "#!/bin/sh\nkill -KILL $$\n")
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

// TestVersionLock: who waits goes on when the holder is done, whatever came of
// that (CL-12).
func TestVersionLock(t *testing.T) {
	s := newTraceHost(t)
	release, _, err := lock.Exclusive(t.Context(), layout.VersionLock(s.root, "p_up", "1.0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	said := &doOnText{text: "waiting for", do: release} // the holder installed nothing
	i := invocation{args: []string{"-e", "-P", "p_up", "-p", "--install"}, environ: s.environ(s.server.URL), streams: streams{stderr: said}}
	if code, _, _ := invoke(t, i); code != 0 || said.do != nil {
		t.Errorf("exit %d, said %q", code, said.String())
	}
	s.expectUnchanged("p_up", "1.0")
}

// doOnText is an output that does something once a text was written to it.
type doOnText struct {
	bytes.Buffer
	text string
	do   func() // nil: it was done
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

// TestSupervisorBeside: while another starts a plugin it is run, while another
// changes it that is waited for (RS-11).
func TestSupervisorBeside(t *testing.T) {
	s := newTraceHost(t)
	release, _, err := lock.Shared(t.Context(), layout.NameLock(s.root, "once_ok"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.expectExit(s.server.URL, 0, "once_ok args", "-e", "--local", "-P", "once_ok")
	release()
	if release, _, err = lock.Exclusive(t.Context(), layout.NameLock(s.root, "once_ok"), nil); err != nil {
		t.Fatal(err)
	}
	s.expectExit(s.server.URL, 232, "lock", "-e", "--local", "-P", "once_ok", "--fetchTimeout", "1")
	time.AfterFunc(100*time.Millisecond, release)
	s.expectExit(s.server.URL, 0, "once_ok args", "-e", "--local", "-P", "once_ok")
}

// entry is one of a package.
type entry struct {
	name    string
	mode    fs.FileMode
	content string
}

// TestRefusedWhole: of a package with an entry that is refused nothing is
// written, within or without (CL-13).
func TestRefusedWhole(t *testing.T) {
	for name, bad := range map[string][]entry{
		"leaves":     {{"../out", 0o644, "x"}},
		"absolute":   {{"/tmp/out-of-a-package", 0o644, "x"}},
		"symlink":    {{"link", fs.ModeSymlink | 0o777, "/etc/passwd"}},
		"device":     {{"dev", fs.ModeDevice | 0o644, ""}},
		"setuid":     {{"su", fs.ModeSetuid | 0o755, "x"}},
		"twice":      {{"x", 0o644, "a"}, {"x", 0o644, "b"}},
		"two cases":  {{"x", 0o644, "a"}, {"X", 0o644, "b"}},
		"ratio":      {{"zeros", 0o644, strings.Repeat("\x00", 4<<20)}},
		"many":       {{"1", 0o644, ""}, {"2", 0o644, ""}, {"3", 0o644, ""}, {"4", 0o644, ""}},
		"large file": {{"large", 0o644, strings.Repeat("0123456789abcdef", 8<<10)}},
	} {
		t.Run("CL-13 "+name, func(t *testing.T) {
			s := newTraceHost(t)
			var b bytes.Buffer
			w := zip.NewWriter(&b)
			for _, e := range append([]entry{{"config.json", 0o644, goodConfig}, {"main.sh", 0o755, "#!/bin/sh\n"}}, bad...) {
				h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
				h.SetMode(e.mode)
				f, err := w.CreateHeader(h)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.Write([]byte(e.content)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(s.files, "bad.zip")
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			limits := []string{"SUPERVISOR_INSTALL_MAX_ENTRIES=5", "SUPERVISOR_INSTALL_MAX_SIZE=100000"}
			if name == "ratio" { // the size would be refused before
				limits = []string{"SUPERVISOR_INSTALL_MAX_RATIO=10"}
			}
			code, _, said := invoke(t, invocation{args: []string{"-e", "-F", path}, environ: s.environ(s.server.URL, limits...)})
			if code != exitUnzip {
				t.Errorf("exit %d; %s", code, said)
			}
			s.expectUnchanged("filed", "")
			for _, out := range []string{filepath.Join(s.root, "plugin", "filed"), filepath.Join(s.root, "out"), "/tmp/out-of-a-package"} {
				if _, err := os.Lstat(out); !os.IsNotExist(err) {
					t.Errorf("%s: %v", out, err)
				}
			}
		})
	}
}

// TestExitCodes: each exit code beyond a plugin's own has its word in an event;
// 233 is none of SPEC 11's, and nothing is told of removals.
func TestExitCodes(t *testing.T) {
	for code := exitLock; code <= exitTimeout; code++ {
		if errorCodes[code] == "" && code != 233 && code != exitRemoveFiles {
			t.Errorf("exit %d has no word", code)
		}
	}
}
