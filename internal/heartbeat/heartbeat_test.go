package heartbeat_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"pluginsupervisor/internal/heartbeat"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

func testPlugin(name string) plugin.Plugin {
	return plugin.Plugin{Name: name, Version: "1.0", Type: plugin.Persist, HeartbeatInterval: time.Minute}
}

// makePluginDir makes the folder of the plugin "p" and returns the root and the
// path of its heartbeat file.
func makePluginDir(t *testing.T) (root, path string) {
	t.Helper()
	root = t.TempDir()
	dir := layout.Version(root, "p", "1.0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return root, filepath.Join(dir, layout.Heartbeat)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readOne(t *testing.T, root string, now time.Time) plugin.Heartbeat {
	t.Helper()
	beats := heartbeat.New(root).Read(t.Context(), []plugin.Plugin{testPlugin("p")}, now)
	if len(beats) != 1 {
		t.Fatalf("%d heartbeats, want 1", len(beats))
	}
	return beats[0]
}

func TestContent(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, tc := range []struct {
		name, content string
		want          int64 // Unix seconds; -1: an error
	}{
		{"PL-05 plain", "1699999990", 1699999990},
		{"PL-05 blanks around", " \t1699999990\r\n\n", 1699999990},
		{"PL-05 signed", "+1699999990", 1699999990},
		{"PL-05 before 1970 is as old", "-99999999999", 0},
		{"PL-07 empty", "", -1},
		{"PL-07 blank", " \n", -1},
		{"PL-07 text", "alive", -1},
		{"PL-07 fraction", "1699999990.5", -1},
		{"PL-07 hexadecimal", "0x10", -1},
		{"PL-07 two numbers", "1 2", -1},
		{"PL-07 beyond 64 bits", "99999999999999999999", -1},
		{"PL-10 64 bytes", strings.Repeat(" ", 54) + "1699999990", 1699999990},
		{"PL-10 65 bytes", strings.Repeat(" ", 55) + "1699999990", -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, path := makePluginDir(t)
			writeFile(t, path, tc.content)
			b := readOne(t, root, now)
			switch {
			case !b.Found:
				t.Error("not found")
			case tc.want < 0 && b.Err == nil:
				t.Errorf("parsed as %v, want an error", b.Last)
			case tc.want >= 0 && (b.Err != nil || b.Last.Unix() != tc.want):
				t.Errorf("%v %v, want %d", b.Last.Unix(), b.Err, tc.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	t.Run("PL-06 no heartbeat file", func(t *testing.T) {
		root, _ := makePluginDir(t)
		if b := readOne(t, root, time.Now()); b.Found || b.Err != nil {
			t.Errorf("%+v", b)
		}
	})
	t.Run("PL-06 no folder", func(t *testing.T) {
		if b := readOne(t, t.TempDir(), time.Now()); b.Found || b.Err != nil {
			t.Errorf("%+v", b)
		}
	})
	t.Run("PL-06 a file in the folder's place", func(t *testing.T) {
		root, path := makePluginDir(t)
		if err := os.Remove(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Dir(path), "")
		if b := readOne(t, root, time.Now()); b.Found || b.Err != nil {
			t.Errorf("%+v", b)
		}
	})
}

func TestStatus(t *testing.T) { // PL-08
	for name, tc := range map[string]struct {
		age  int64
		want plugin.Status
	}{
		"PL-08 fresh":             {0, plugin.StatusRunning},
		"PL-08 exactly the limit": {65, plugin.StatusRunning},
		"PL-08 a second later":    {66, plugin.StatusFailed},
		"PL-08 date 1970":         {1_700_000_000, plugin.StatusFailed},
		"PL-08 before 1970":       {1 << 62, plugin.StatusFailed},
	} {
		t.Run(name, func(t *testing.T) {
			root, path := makePluginDir(t)
			now := time.Unix(1_700_000_000, 999_999_999)
			writeFile(t, path, strconv.FormatInt(now.Unix()-tc.age, 10))
			if got := readOne(t, root, now).StatusAt(now); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestFuture(t *testing.T) { // PL-09
	now := time.Now().Truncate(time.Second)
	for _, tc := range []struct {
		name        string
		beat, mtime time.Duration // from now
		clock       time.Duration // the reader's clock, from now
		want        plugin.Status
		fails       bool
	}{
		{name: "PL-09 five seconds ahead is accepted", beat: 5 * time.Second, mtime: -time.Hour, want: plugin.StatusRunning},
		{name: "PL-09 six seconds: the file's time is used, old", beat: 6 * time.Second, mtime: -time.Hour, want: plugin.StatusFailed},
		{name: "PL-09 six seconds: the file's time is used, new", beat: 6 * time.Second, mtime: -time.Second, want: plugin.StatusRunning},
		{name: "PL-09 far ahead is not healthy", beat: 1 << 62, mtime: -time.Hour, want: plugin.StatusFailed},
		{name: "PL-09 modification time set by hand: the inode's is used", beat: time.Hour, mtime: time.Hour, want: plugin.StatusRunning},
		{name: "PL-09 the same, an hour later", beat: 9 * time.Hour, mtime: 9 * time.Hour, clock: time.Hour, want: plugin.StatusFailed},
		{name: "PL-09 the clock was set back: unknown", beat: 0, mtime: 0, clock: -time.Hour, fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, path := makePluginDir(t)
			writeFile(t, path, strconv.FormatInt(now.Add(tc.beat).Unix(), 10))
			if tc.beat == 1<<62 {
				writeFile(t, path, strconv.FormatInt(1<<62, 10))
			}
			if err := os.Chtimes(path, time.Time{}, now.Add(tc.mtime)); err != nil {
				t.Fatal(err)
			}
			b := readOne(t, root, now.Add(tc.clock))
			switch {
			case tc.fails && b.Err == nil:
				t.Errorf("read %v, want an error", b.Last)
			case !tc.fails && (b.Err != nil || b.StatusAt(now.Add(tc.clock)) != tc.want):
				t.Errorf("%v %v, want %v", b.StatusAt(now.Add(tc.clock)), b.Err, tc.want)
			}
		})
	}
}

// PL-10: Read returns an error for anything but a small regular file.
func TestNotARegularFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"PL-10 FIFO":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"PL-10 directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"PL-10 link to a file": func(p string) error {
			return errors.Join(os.WriteFile(p+".real", []byte("1"), 0o600), os.Symlink(p+".real", p))
		},
		"PL-10 link to a device":   func(p string) error { return os.Symlink("/dev/zero", p) },
		"PL-10 link to nothing":    func(p string) error { return os.Symlink("/nowhere", p) },
		"PL-10 sparse file, 10 GB": func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 10<<30)) },
	} {
		t.Run(name, func(t *testing.T) {
			root, path := makePluginDir(t)
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			checkReadError(t, root)
		})
	}
	t.Run("PL-10 socket", func(t *testing.T) {
		root, path := makePluginDir(t)
		t.Chdir(filepath.Dir(path)) // a socket's path is short
		l, err := net.Listen("unix", "heartbeat")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		checkReadError(t, root)
	})
}

func checkReadError(t *testing.T, root string) {
	t.Helper()
	answer := make(chan plugin.Heartbeat, 1)
	go func() {
		answer <- heartbeat.New(root).Read(context.Background(), []plugin.Plugin{testPlugin("p")}, time.Now())[0]
	}()
	select {
	case b := <-answer:
		if !b.Found || b.Err == nil {
			t.Errorf("heartbeat %+v, want found with an error", b)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Read blocks")
	}
}

func TestOneHeartbeatPerPlugin(t *testing.T) {
	root, path := makePluginDir(t)
	writeFile(t, path, "1")
	ps := []plugin.Plugin{testPlugin("missing"), testPlugin("p"), testPlugin(".."), {Name: "p", Version: "../1.0"}}
	got := heartbeat.New(root).Read(t.Context(), ps, time.Now())
	for i, want := range []struct{ found, fails bool }{{}, {found: true}, {fails: true}, {fails: true}} {
		if got[i].Plugin.Name != ps[i].Name || got[i].Found != want.found || (got[i].Err != nil) != want.fails {
			t.Errorf("%d: %+v", i, got[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, b := range heartbeat.New(root).Read(ctx, ps, time.Now()) {
		if !errors.Is(b.Err, context.Canceled) {
			t.Errorf("after cancel: %+v, want context.Canceled", b)
		}
	}
}

func TestParseWrittenDate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 253402300799).Draw(t, "seconds")
		blanks := rapid.StringMatching(`[ \t\r\n]{0,9}`)
		got, err := heartbeat.Parse([]byte(blanks.Draw(t, "before") + strconv.FormatInt(n, 10) + blanks.Draw(t, "after")))
		if err != nil || got.Unix() != n {
			t.Fatalf("%v %v, want %d", got.Unix(), err, n)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"1700000000", " 1\n", "", "-1", "+1", "9223372036854775807", "-9223372036854775808", "1e9", "１"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := heartbeat.Parse(b)
		if err != nil {
			return
		}
		if s := got.Unix(); s < 0 || s > 253402300799 {
			t.Errorf("%q is %d", b, s)
		}
		again, err := heartbeat.Parse([]byte(strconv.FormatInt(got.Unix(), 10)))
		if err != nil || !again.Equal(got) {
			t.Errorf("%q: %v, again %v %v", b, got, again, err)
		}
	})
}
