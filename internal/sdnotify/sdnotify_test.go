package sdnotify

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

type mockSupervisor struct {
	silent atomic.Bool
	state  atomic.Uint32
}

func (a *mockSupervisor) Status(context.Context) (plugin.Snapshot, error) {
	if a.silent.Load() {
		return plugin.Snapshot{}, errors.New("no answer")
	}
	return plugin.Snapshot{Plugins: []plugin.View{{Name: "p", State: plugin.State(a.state.Load())}}}, nil
}

// EV-20: READY=1 when supervision has begun, WATCHDOG=1 only while the Coordinator
// answers, STATUS= with one line, STOPPING=1 on exit.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000") // every 20 ms
	t.Setenv("WATCHDOG_PID", "")
	log := logger.Silent()

	notifications := make(chan string, 1000)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				close(notifications)
				return
			}
			notifications <- string(buf[:n])
		}
	}()
	next := func() string {
		t.Helper()
		select {
		case s := <-notifications:
			return s
		case <-time.After(20 * time.Second):
			t.Fatal("no notification")
			return ""
		}
	}
	until := func(want string) {
		t.Helper()
		for !strings.Contains(next(), want) {
		}
	}

	a := &mockSupervisor{}
	a.silent.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() { defer close(returned); Run(ctx, a, log) }()

	a.silent.Store(false)
	if got := next(); got != "READY=1\nWATCHDOG=1\nSTATUS=1 plugin: 1 installed" {
		t.Errorf("first %q", got)
	}
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("then %q", got)
	}
	a.state.Store(uint32(plugin.StateCrashLoop))
	until("STATUS=1 plugin: 1 crash-loop")

	a.silent.Store(true)
	for quiet := false; !quiet; { // notifications in flight arrive, then none
		select {
		case <-notifications:
		case <-time.After(300 * time.Millisecond):
			quiet = true
		}
	}
	a.silent.Store(false)
	until("WATCHDOG=1")
	cancel()
	<-returned
	until("STOPPING=1")
}

// EV-27: a service manager that does not read delays nothing, and receives READY=1 when
// it reads again.
func TestRunUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	full := 0
	for notify(path, "FILLED") == nil {
		full++
	}
	if full == 0 {
		t.Fatal("nothing can be sent")
	}
	n := &notifier{supervisor: &mockSupervisor{}, log: logger.Silent(), timeout: time.Second}
	began := time.Now()
	t.Setenv("NOTIFY_SOCKET", path)
	n.reportState(t.Context())
	if took := time.Since(began); took > 10*time.Second || n.ready {
		t.Errorf("took %v, ready %v", took, n.ready)
	}
	buf := make([]byte, 4096)
	for range full {
		if _, err := socket.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	n.reportState(t.Context())
	if size, err := socket.Read(buf); err != nil || !strings.HasPrefix(string(buf[:size]), "READY=1") {
		t.Errorf("got %q, %v", buf[:size], err)
	}
}

func TestRunWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	Run(t.Context(), nil, logrus.New()) // returns at once and does not use the supervisor
}

func TestLine(t *testing.T) {
	got := Line(plugin.Snapshot{
		Plugins:  []plugin.View{{State: plugin.StateCrashLoop}, {State: plugin.StateRunning}, {State: plugin.StateRunning}},
		Reports:  plugin.ReportStatus{Pending: 2},
		Problems: []plugin.Problem{{What: "state file"}},
	})
	if want := "3 plugins: 2 running, 1 crash-loop; 2 statuses pending; problem: state file"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The variables of systemd must not reach a plugin.
func TestVariables(t *testing.T) {
	if !slices.Contains(Variables(), "NOTIFY_SOCKET") || !slices.Contains(Variables(), "WATCHDOG_USEC") {
		t.Error(Variables())
	}
}
