package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// fakeSupervisor answers with one snapshot, one error, or not at all. It accepts commands
// for the plugin hello and rejects those for crash.
type fakeSupervisor struct {
	snapshot    plugin.Snapshot
	err         error
	stuck       bool
	extraPlugin string // another plugin
}

func (f fakeSupervisor) Follow(ctx context.Context, _ func(plugin.Entry)) error {
	<-ctx.Done()
	return nil
}

func (f fakeSupervisor) StartPlugin(ctx context.Context, name string) error {
	return f.answerCommand(ctx, name)
}

func (f fakeSupervisor) ForceStartPlugin(ctx context.Context, name string) error {
	return f.answerCommand(ctx, name)
}

func (f fakeSupervisor) StopPlugin(ctx context.Context, name string) error {
	return f.answerCommand(ctx, name)
}

func (f fakeSupervisor) RestartPlugin(ctx context.Context, name string) error {
	return f.answerCommand(ctx, name)
}

func (f fakeSupervisor) CancelChange(ctx context.Context, name string) error {
	return f.answerCommand(ctx, name)
}

func (f fakeSupervisor) ChangePlugin(ctx context.Context, o plugin.Change) error {
	return f.answerCommand(ctx, o.Name)
}

func (f fakeSupervisor) answerCommand(ctx context.Context, name string) error {
	switch {
	case f.stuck:
		<-ctx.Done()
		return ctx.Err()
	case name == "crash":
		return errors.New("crash is being upgraded")
	case name != "hello" && (f.extraPlugin == "" || name != f.extraPlugin):
		return fmt.Errorf("%w: %s", plugin.ErrNoPlugin, name)
	}
	return nil
}

func (f fakeSupervisor) Status(ctx context.Context) (plugin.Snapshot, error) {
	if f.stuck {
		<-ctx.Done()
		return plugin.Snapshot{}, ctx.Err()
	}
	return f.snapshot, f.err
}

var errFailed = errors.New("the coordinator failed")

func sampleSnapshot() plugin.Snapshot {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	return plugin.Snapshot{
		At:         at,
		Supervisor: plugin.Supervisor{Version: "1.2.3", PID: 7, Root: "/r", Manager: "native", Started: at.Add(-time.Hour)},
		Plugins: []plugin.View{
			{
				Name: "hello", Version: "1.0", Type: plugin.Persist, State: plugin.StateRunning, Since: at, Restarts: 4, LastHeartbeat: at,
				Quarantined: []plugin.QuarantinedVersion{{Name: "hello", Version: "2.0", Until: at.Add(time.Hour), Cause: "exit 3"}},
			},
			{Name: "crash", Version: "2.0", Type: plugin.Persist, State: plugin.StateCrashLoop, Since: at, Why: "exit 3", Verified: plugin.ByMD5},
			{Name: "hello", Version: "0.9", Type: plugin.Persist, State: plugin.StateRunning, Since: at, Duplicate: true, Verified: plugin.BySHA256},
		},
		Reports:  plugin.ReportStatus{Pending: 2, PendingSince: at, Events: 1, LastCheck: at, LastDelivered: at},
		Damaged:  []plugin.Damage{{Where: "record 9", Why: "not a JSON object"}},
		Problems: []plugin.Problem{{What: "state file", Why: "disk full", Since: at}},
		Counters: plugin.Counters{Scans: 3},
	}
}

// serveAPI serves s on a new socket and returns its path.
func serveAPI(t *testing.T, s Supervisor) string {
	t.Helper()
	path, _ := serveJournal(t, s, "")
	return path
}

// serveJournal serves s and a journal; end stops it.
func serveJournal(t *testing.T, s Supervisor, journal string) (path string, end func()) {
	t.Helper()
	path = filepath.Join(socketDir(t), "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, NewHandler(s, journal), logger.Silent()) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(end)
	return path, end
}

// socketDir returns a folder whose path is short enough for a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func dialSocket(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
