package view

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/plugin"
)

var now = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func timeBefore(d time.Duration) time.Time { return now.Add(-d) }

func sampleSnapshot() plugin.Snapshot {
	return plugin.Snapshot{
		At: now,
		Plugins: []plugin.View{
			{
				Name: "log-agent", Version: "2.4.1", Type: plugin.Persist, State: plugin.StateRunning, Since: timeBefore(76 * time.Hour),
				LastHeartbeat: timeBefore(4 * time.Second), HeartbeatInterval: 60, Why: "found running", Watch: plugin.WatchCgroup,
			},
			{
				Name: "metrics", Version: "1.9.0", Type: plugin.Persist, State: plugin.StateCrashLoop, Since: timeBefore(12 * time.Minute),
				Restarts: 7, Why: "exit 3: \x1b[2Jcannot\nopen /etc/x.conf", Next: "retry", NextAt: now.Add(38 * time.Second),
			},
			{Name: "metrics", Version: "1.8.0", Type: plugin.Persist, State: plugin.StateInstalled, Since: now, Duplicate: true},
		},
		Reports: plugin.ReportStatus{
			Pending: 2, PendingSince: timeBefore(3 * time.Minute), Events: 1, Attempts: 3,
			LastError: "control plane answered 503", NextTry: now.Add(12 * time.Second),
		},
		Damaged:  []plugin.Damage{{Where: "record 9", Why: "not a JSON object"}},
		Problems: []plugin.Problem{{What: "state file", Why: "no space left on device", Since: timeBefore(2 * time.Minute)}},
		Timers:   []plugin.Timer{{Name: "scan", Seconds: 900, Due: now.Add(time.Minute), Skipped: 1}, {Name: "pull", Seconds: 300, Running: true}},
	}
}

// SC-18, ST-06: status shows pending reports and damage.
func TestStatusTable(t *testing.T) {
	var b bytes.Buffer
	if err := WriteStatus(&b, sampleSnapshot(), StatusOptions{}); err != nil {
		t.Fatal(err)
	}
	want := `
NAME       VERSION  STATE       SINCE  RESTARTS  HEALTH            WHY / NEXT
log-agent  2.4.1    running     3d4h   0         heartbeat 4s/60s  found running
metrics    1.9.0    crash-loop  12m    7         -                 exit 3: ·[2Jcannot open /etc/x.conf, retry in 38s
metrics    1.8.0    installed   0s     0         -                 duplicate record
pending: 2 statuses and 1 event not reported yet for 3m: control plane answered 503, try 4 in 12s
problem: state file: no space left on device (for 2m)
damaged: record 9: not a JSON object
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatusVerbose(t *testing.T) {
	s := sampleSnapshot()
	s.Supervisor = plugin.Supervisor{Version: "1.2.3", PID: 7, Root: "/r", Manager: "native", InstanceID: "i-1", Started: timeBefore(time.Hour)}
	var b bytes.Buffer
	if err := WriteStatus(&b, s, StatusOptions{Verbose: true}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"supervisor 1.2.3, pid 7, up 1h, root /r, manager native, instance i-1",
		"scan   15m    in 1m    1",
		"pull   5m     running  0",
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
}

// EV-04, EV-17: status shows plugins whose exit causes no event, and limits that are
// not enforced.
func TestStatusShowsUnwatchedAndUnlimited(t *testing.T) {
	view := func(name string, state plugin.State, watch plugin.WatchMethod) plugin.View {
		return plugin.View{Name: name, Version: "1", Type: plugin.Persist, State: state, Since: now, Watch: watch}
	}
	limited := view("limited", plugin.StateRunning, plugin.WatchPidfd)
	limited.UnenforcedLimits = []string{"memory: no controller", "pids: \x1bno"}
	once := view("once", plugin.StateRunning, plugin.WatchScan)
	once.Type = plugin.Once
	var b bytes.Buffer
	err := WriteStatus(&b, plugin.Snapshot{At: now, Plugins: []plugin.View{
		view("handed", plugin.StateRunning, plugin.WatchScan), limited, once, view("down", plugin.StateCrashLoop, plugin.WatchScan),
	}, Timers: []plugin.Timer{{Name: "scan", Seconds: 900}}}, StatusOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := `
NAME     VERSION  STATE       SINCE  RESTARTS  HEALTH  WHY / NEXT
handed   1        running     0s     0         -       exit detected at the next scan only (≤ 15m)
limited  1        running     0s     0         -
once     1        running     0s     0         -
down     1        crash-loop  0s     0         -
limit: memory of limited not enforced: no controller
limit: pids of limited not enforced: ·no
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Colours do not change the columns: without the escapes the table is the same.
func TestColourKeepsTheColumns(t *testing.T) {
	var coloured, bare bytes.Buffer
	if err := WriteStatus(&coloured, sampleSnapshot(), StatusOptions{Paint: Paint{on: true}}); err != nil {
		t.Fatal(err)
	}
	if err := WriteStatus(&bare, sampleSnapshot(), StatusOptions{}); err != nil {
		t.Fatal(err)
	}
	strip := strings.NewReplacer("\x1b[0m", "", "\x1b[39m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[34m", "")
	if diff := cmp.Diff(bare.String(), strip.Replace(coloured.String())); diff != "" {
		t.Errorf("(-bare +coloured):\n%s", diff)
	}
	if !strings.Contains(coloured.String(), "\x1b[31mcrash-loop") {
		t.Error("the state crash-loop is not red")
	}
}

func TestColourOnlyOnATerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if PaintFor(f).on || PaintFor(&bytes.Buffer{}).on {
		t.Error("colours for a file or a buffer")
	}
	if got := PaintFor(f).Good("x") + PaintFor(f).Bold("x") + PaintFor(f).Faint("x"); got != "xxx" {
		t.Errorf("without colour: %q", got)
	}
}

func TestEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := WriteStatus(&b, plugin.Snapshot{At: now}, StatusOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := WriteList(&b, admin.List{}, Paint{}); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != "no plugins are installed\nno plugins are installed\n" {
		t.Errorf("%q", got)
	}
}

func TestListTable(t *testing.T) {
	var b bytes.Buffer
	if err := WriteList(&b, admin.ListOf(sampleSnapshot()), Paint{}); err != nil {
		t.Fatal(err)
	}
	want := `
NAME       VERSION  TYPE     STATE
log-agent  2.4.1    Persist  running
metrics    1.9.0    Persist  crash-loop
metrics    1.8.0    Persist  installed, duplicate record
damaged: record 9: not a JSON object
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 999 * time.Millisecond: "0s", 59 * time.Second: "59s", time.Minute: "1m",
		252 * time.Second: "4m12s", 12*time.Minute + 5*time.Second: "12m", time.Hour: "1h", 192 * time.Minute: "3h12m",
		24 * time.Hour: "1d", 76 * time.Hour: "3d4h", 76*time.Hour + 59*time.Minute: "3d4h",
	} {
		if got := FormatSpan(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}

// Whatever a plugin printed, the operator's screen stays theirs.
func TestLineIsOneHarmlessLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		got := CleanLine(s)
		if n := len([]rune(got)); n > maxLine {
			t.Fatalf("%d characters", n)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x202e }); i >= 0 {
			t.Fatalf("%q has a control character", got)
		}
		if CleanLine(got) != got {
			t.Fatalf("%q is not its own line", got)
		}
	})
}
