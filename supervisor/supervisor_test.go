package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
	"pluginsupervisor/supervisor"
)

// timeLimit bounds each wait of a test.
const timeLimit = 20 * time.Second

func TestNewRejects(t *testing.T) {
	root, controlPlane := supervisor.WithRoot("/var/lib/x"), supervisor.WithControlPlane("http://127.0.0.1:1")
	handler := func(context.Context, plugin.AssignedUpdate) bool { return false }
	for name, c := range map[string]struct {
		options []supervisor.Option
		want    string // in the error
	}{
		"no options":          {nil, "root is not set: use WithRoot"},
		"no control plane":    {[]supervisor.Option{root}, "control_plane.url is not set: use WithControlPlane"},
		"root twice":          {[]supervisor.Option{root, controlPlane, supervisor.WithRoot("/y")}, `root is set twice: "/var/lib/x" by WithRoot and "/y" by WithRoot`},
		"control plane twice": {[]supervisor.Option{root, controlPlane, controlPlane}, "control_plane.url is set twice"},
		"long root":           {[]supervisor.Option{supervisor.WithRoot("/" + strings.Repeat("x", 120)), controlPlane}, "socket path too long"},
		"root as a setting":   {[]supervisor.Option{root, controlPlane, supervisor.WithSetting("root", "/y")}, `by WithSetting("root")`},
		"relative root":       {[]supervisor.Option{supervisor.WithRoot("x"), controlPlane}, `WithRoot: "x" is not an absolute path`},
		"empty root":          {[]supervisor.Option{supervisor.WithRoot(""), controlPlane}, "is not an absolute path"},
		"no URL":              {[]supervisor.Option{root, supervisor.WithControlPlane("::")}, "WithControlPlane: "},
		"no such key":         {[]supervisor.Option{root, controlPlane, supervisor.WithSetting("intervals.scann", "5m")}, "did you mean intervals.scan?"},
		"bad value":           {[]supervisor.Option{root, controlPlane, supervisor.WithSetting("intervals.scan", "soon")}, `"soon" is not a duration`},
		"plugins as text":     {[]supervisor.Option{root, controlPlane, supervisor.WithSetting("plugins", "a")}, "can be set in the file only"},
		"missing file":        {[]supervisor.Option{root, controlPlane, supervisor.WithConfigFile("/nonexistent/x.yaml")}, "cannot read the configuration"},
		"empty file":          {[]supervisor.Option{root, controlPlane, supervisor.WithConfigFile("")}, "WithConfigFile: the path is empty"},
		"nil handler":         {[]supervisor.Option{root, controlPlane, supervisor.WithUpdateHandler(nil)}, "WithUpdateHandler: the handler is nil"},
		"nil logger":          {[]supervisor.Option{root, controlPlane, supervisor.WithLogger(nil)}, "WithLogger: the logger is nil"},
		"nil option":          {[]supervisor.Option{root, nil, controlPlane}, "option 2 is nil"},
		"handler twice":       {[]supervisor.Option{root, controlPlane, supervisor.WithUpdateHandler(handler), supervisor.WithUpdateHandler(handler)}, "WithUpdateHandler is given twice"},
		"logger twice":        {[]supervisor.Option{root, controlPlane, supervisor.WithLogger(logrus.New()), supervisor.WithLogger(logrus.New())}, "WithLogger is given twice"},
		"file twice":          {[]supervisor.Option{root, controlPlane, supervisor.WithConfigFile("/a"), supervisor.WithConfigFile("/b")}, "WithConfigFile is given twice"},
		"config and root":     {[]supervisor.Option{supervisor.WithConfig(config.Default()), root}, "WithConfig excludes WithConfigFile, WithSetting, WithRoot and WithControlPlane"},
		"two mistakes":        {[]supervisor.Option{supervisor.WithLogger(nil), supervisor.WithUpdateHandler(nil)}, "the logger is nil\nWithUpdateHandler: the handler is nil"},
		"subreaper twice":     {[]supervisor.Option{root, controlPlane, supervisor.WithSubreaper(), supervisor.WithSubreaper()}, "WithSubreaper is given twice"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := supervisor.New(c.options...)
			if s != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "new supervisor: ") {
				t.Errorf("got %v and error %v, want an error with %q", s, err, c.want)
			}
		})
	}
}

// newSupervisor returns a Supervisor on a new root, whose path is short enough for
// a socket.
func newSupervisor(t *testing.T, more ...supervisor.Option) (s *supervisor.Supervisor, root string) {
	t.Helper()
	root, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = os.RemoveAll(root), os.Remove(layout.SecondSocket(root)) })
	return newOn(t, root, more...), root
}

func newOn(t *testing.T, root string, more ...supervisor.Option) *supervisor.Supervisor {
	t.Helper()
	s, err := supervisor.New(append(more, supervisor.WithRoot(root), supervisor.WithControlPlane("http://127.0.0.1:1"))...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run starts s; stop stops it and returns the result of Run.
func run(t *testing.T, s *supervisor.Supervisor) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	select {
	case <-s.Started():
	case err := <-result:
		t.Fatalf("Run: %v", err)
	case <-time.After(timeLimit):
		t.Fatal("not started")
	}
	return func() error {
		cancel()
		select {
		case err := <-result:
			return err
		case <-time.After(timeLimit):
			return errors.New("run does not return")
		}
	}
}

// wantNotRunning checks that every request returns ErrNotRunning with the reason.
func wantNotRunning(t *testing.T, s *supervisor.Supervisor, why string) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Status(ctx)
	for name, err := range map[string]error{
		"Status": err, "StartPlugin": s.StartPlugin(ctx, "a"), "ForceStartPlugin": s.ForceStartPlugin(ctx, "a"), "StopPlugin": s.StopPlugin(ctx, "a"),
		"RestartPlugin": s.RestartPlugin(ctx, "a"), "InstallPlugin": s.InstallPlugin(ctx, "a", "1", ""), "UpgradePlugin": s.UpgradePlugin(ctx, "a", "1"),
		"RollbackPlugin": s.RollbackPlugin(ctx, "a"), "RemovePlugin": s.RemovePlugin(ctx, "a"), "CancelChange": s.CancelChange(ctx, "a"),
		"CheckUpdates": s.CheckUpdates(ctx), "Follow": s.Follow(ctx, func(plugin.Entry) {}),
	} {
		if !errors.Is(err, supervisor.ErrNotRunning) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, want ErrNotRunning with %q", name, err, why)
		}
	}
}

func TestRequestsOutsideOfRun(t *testing.T) {
	s, _ := newSupervisor(t)
	wantNotRunning(t, s, "Run was not called")
	stop := run(t, s)
	status, err := s.Status(t.Context())
	if err != nil || status.Supervisor.PID != os.Getpid() {
		t.Errorf("Status while it runs: %+v, %v; want the own pid", status.Supervisor, err)
	}
	if err := s.StopPlugin(t.Context(), "none"); !errors.Is(err, plugin.ErrNoPlugin) {
		t.Errorf("StopPlugin of a plugin that is not installed: got %v, want ErrNoPlugin", err)
	}
	for name, err := range map[string]error{
		"bad name": s.UpgradePlugin(t.Context(), "../a", "1"), "no version": s.UpgradePlugin(t.Context(), "a", ""), "nil function": s.Follow(t.Context(), nil),
	} {
		if err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := s.Run(t.Context()); !errors.Is(err, supervisor.ErrAlreadyRun) {
		t.Errorf("a second Run: got %v, want ErrAlreadyRun", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	wantNotRunning(t, s, "Run has returned")
	if err := s.Run(t.Context()); !errors.Is(err, supervisor.ErrAlreadyRun) {
		t.Errorf("Run after it has returned: got %v, want ErrAlreadyRun", err)
	}
}

func TestRunRejects(t *testing.T) {
	t.Run("canceled before the start", func(t *testing.T) {
		s, root := newSupervisor(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "before the start") {
			t.Errorf("got %v, want context.Canceled, before the start", err)
		}
		if files, _ := os.ReadDir(root); len(files) > 0 {
			t.Errorf("Run created %v, want nothing", files)
		}
		wantNotRunning(t, s, "Run has returned")
	})
	t.Run("a root that is a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := newOn(t, path)
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot use root "+path) {
			t.Errorf("got %v, want an error that names the root", err)
		}
		wantNotRunning(t, s, "Run has returned")
	})
	t.Run("nil context", func(t *testing.T) {
		s, _ := newSupervisor(t)
		var none context.Context
		if err := s.Run(none); err == nil || !strings.Contains(err.Error(), "the context is nil") {
			t.Errorf("Run: got %v", err)
		}
		if _, err := s.Status(none); err == nil || !strings.Contains(err.Error(), "the context is nil") {
			t.Errorf("Status: got %v", err)
		}
	})
	t.Run("EV-15 a root that another supervisor uses", func(t *testing.T) {
		s, root := newSupervisor(t)
		stop := run(t, s)
		if err := newOn(t, root).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another supervisor has root "+root) {
			t.Errorf("got %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := run(t, newOn(t, root))(); err != nil {
			t.Errorf("a Supervisor after that on the same root: %v", err)
		}
	})
}

// Two Supervisors in one process, on different roots, do not disturb each
// other, nor the child processes of the program.
func TestTwoInOneProcess(t *testing.T) {
	first, firstRoot := newSupervisor(t)
	second, secondRoot := newSupervisor(t)
	stopFirst, stopSecond := run(t, first), run(t, second)
	for range 20 {
		child := exec.Command("sh", "-c", "exit 7")
		if err := child.Run(); child.ProcessState == nil || child.ProcessState.ExitCode() != 7 {
			t.Fatalf("child of the program: %v", err)
		}
	}
	if err := stopFirst(); err != nil {
		t.Error(err)
	}
	status, err := second.Status(t.Context())
	if err != nil || status.Supervisor.Root != secondRoot || firstRoot == secondRoot {
		t.Errorf("status after the first has stopped: %+v, %v", status.Supervisor, err)
	}
	if err := stopSecond(); err != nil {
		t.Error(err)
	}
}

// UP-05: the handler of the program is asked first, then upgrade.hook. An update
// that one of them handles is in the journal, and the supervisor does not make it.
func TestUpdatesHandledOutside(t *testing.T) {
	plane := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == control.PathUpdate {
			fmt.Fprint(w, `{"plugin":[{"name":"byhandler","version":"2.0"},{"name":"byhook","version":"2.0"}]}`)
			return
		}
		fmt.Fprint(w, "{}")
	}))
	defer plane.Close()
	root, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = os.RemoveAll(root), os.Remove(layout.SecondSocket(root)) })
	for _, name := range []string{"byhandler", "byhook"} {
		r := record.Record{Name: name, Version: "1.0", RunPath: "run", Type: plugin.Persist, Timeout: "20"}
		if _, err := registry.New(registry.Options{Root: root}).Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	hook := filepath.Join(root, "hook")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho $UPDATE_NAME $UPDATE_INSTALLED $UPDATE_VERSION >> "+hook+".ran\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := supervisor.New(
		supervisor.WithRoot(root), supervisor.WithControlPlane(plane.URL), supervisor.WithSetting("upgrade.hook", hook),
		supervisor.WithSetting("first_run.update", "1h"),
		supervisor.WithUpdateHandler(func(_ context.Context, u plugin.AssignedUpdate) bool {
			return u.Name == "byhandler" && u.Installed == "1.0" && u.Version == "2.0"
		}))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	handled, following := make(chan string, 100), make(chan error, 1)
	go func() {
		following <- s.Follow(ctx, func(e plugin.Entry) {
			if e.Cause == "update to 2.0 handled by the update handler" {
				select {
				case handled <- e.Plugin:
				default: // more than the test needs
				}
			}
		})
	}()
	for seen := map[string]bool{}; len(seen) < 2; {
		if err := s.CheckUpdates(ctx); err != nil { // repeated, as Follow may not have begun
			t.Fatalf("handled %v, then: %v", seen, err)
		}
		select {
		case name := <-handled:
			seen[name] = true
		case <-time.After(200 * time.Millisecond):
		}
	}
	cancel()
	if err := <-following; err != nil {
		t.Errorf("Follow: %v", err)
	}
	if ran, err := os.ReadFile(hook + ".ran"); err != nil || !strings.HasPrefix(string(ran), "byhook 1.0 2.0\n") || strings.Contains(string(ran), "byhandler") {
		t.Errorf("the hook was run for %q, %v", ran, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
