package plugin

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// SPEC 2: the deadline of a verb.
func TestParseTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": DefaultTimeout, "x": DefaultTimeout, "0": DefaultTimeout, "-3": DefaultTimeout, "3601": MaxTimeout,
		"1.5": DefaultTimeout, "9223372036854775807": MaxTimeout, "1": time.Second, "3600": time.Hour, " 7 ": 7 * time.Second,
	} {
		if got := ParseTimeout(s); got != want {
			t.Errorf("ParseTimeout(%q) = %v, want %v", s, got, want)
		}
	}
}

// ST-15, SPEC 1: names and versions.
func TestCheckName(t *testing.T) {
	for _, ok := range []string{"a", "A-1_b.c+d", "1.0", strings.Repeat("x", 255), ".hidden", "a b", "ä", "云助手", "a@b:c~d", "-x", "...", "x.v1.0", "cgroup.procs", "removed-x"} {
		if err := CheckName(ok); err != nil {
			t.Errorf("CheckName(%q) = %v, want nil", ok, err)
		}
	}
	for _, bad := range []string{
		"", ".", "..", "a/b", `a\b`, "a\x00", "a\n", "a\u0085b", " a", "a ", "a\u3000", "\xff", strings.Repeat("x", 256), strings.Repeat("ä", 128),
		"installed_plugins", "installed_plugins.db", ".installed_plugins.db.1", ".removed-a",
	} {
		if CheckName(bad) == nil {
			t.Errorf("CheckName(%q) = nil, want an error", bad)
		}
	}
}

// ST-15, SPEC 1: the executable is inside its package.
func TestCheckRunPath(t *testing.T) {
	for _, ok := range []string{"run", "bin/run", "./run", "a/../run"} {
		if err := CheckRunPath(ok); err != nil {
			t.Errorf("CheckRunPath(%q) = %v, want nil", ok, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "../x", "a/../../x", "/bin/sh"} {
		if CheckRunPath(bad) == nil {
			t.Errorf("CheckRunPath(%q) = nil, want an error", bad)
		}
	}
}

// PL-08: a heartbeat that is exactly interval + 5 s old is not late.
func TestHeartbeatStatusAt(t *testing.T) {
	last := time.Unix(1_000_000, 0)
	b := Heartbeat{Plugin: Plugin{HeartbeatInterval: time.Minute}, Found: true, Last: last}
	for late, want := range map[time.Duration]Status{
		-time.Hour: StatusRunning, 0: StatusRunning, 65 * time.Second: StatusRunning,
		65*time.Second + 999*time.Millisecond: StatusRunning, // whole seconds, as the file has them
		66 * time.Second:                      StatusFailed,
	} {
		if got := b.StatusAt(last.Add(late)); got != want {
			t.Errorf("%v after the last heartbeat: %v, want %v", late, got, want)
		}
	}
}

// SC-16: cut at a character boundary.
func TestTruncateText(t *testing.T) {
	if got := TruncateText("aä", 2); got != "a" {
		t.Errorf("TruncateText(%q, 2) = %q, want %q", "aä", got, "a")
	}
	rapid.Check(t, func(t *rapid.T) {
		s, n := rapid.String().Draw(t, "s"), rapid.IntRange(0, 40).Draw(t, "n")
		got := TruncateText(s, n)
		if len(got) > n || !strings.HasPrefix(s, got) || !utf8.ValidString(got) {
			t.Fatalf("TruncateText(%q, %d) = %q", s, n, got)
		}
	})
}

func TestKey(t *testing.T) {
	p := Plugin{ID: 7, Name: "a", Version: "1.0"}
	if p.Key() != "a" {
		t.Errorf("key %q, want %q", p.Key(), "a")
	}
	p.Duplicate = true // ST-10
	if p.Key() != "a@1.0#7" {
		t.Errorf("key of a duplicate %q, want %q", p.Key(), "a@1.0#7")
	}
}

// UP-07: the content of an update event.
func TestNewUpdateEvent(t *testing.T) {
	o := Change{Name: "a", Version: "2.0"}
	for name, test := range map[string]struct {
		up     ChangeResult
		status string
	}{
		"ok":        {ChangeResult{}, "0"},
		"failed":    {ChangeResult{Outcome: Outcome{ExitCode: 3, Err: errors.New("exit 3")}}, "1"},
		"timed out": {ChangeResult{Outcome: Outcome{ExitCode: -1, TimedOut: true, Err: errors.New("did not return within 1m0s")}}, "2"},
	} {
		test.up.Output = strings.Repeat("ü", MaxEventOutput)
		k := NewUpdateEvent(time.Time{}, o, test.up).Keywords
		if k["status"] != test.status || k["name"] != "a" || k["version"] != "2.0" || k["errMsg"] != test.up.Cause() {
			t.Errorf("%s: keywords %v, want status %s and errMsg %q", name, k, test.status, test.up.Cause())
		}
		if len(k["output"]) != MaxEventOutput {
			t.Errorf("%s: output of %d bytes, want %d", name, len(k["output"]), MaxEventOutput)
		}
	}
}

// F23: the cause of a start that does not return says what to do.
func TestOutcomeCause(t *testing.T) {
	late := errors.New("did not return within 5s")
	for verb, want := range map[Verb]string{
		VerbStart: "did not return within 5s (--start must put the daemon in the background and return)", VerbStop: "did not return within 5s",
	} {
		if got := (Outcome{Verb: verb, TimedOut: true, Err: late}).Cause(); got != want {
			t.Errorf("%s: cause %q, want %q", verb, got, want)
		}
	}
}

func TestHTTPErrorIsFinal(t *testing.T) { // SC-20
	for code, final := range map[int]bool{301: false, 400: true, 404: true, 408: false, 425: false, 429: false, 499: true, 500: false} {
		if got := (&HTTPError{Code: code}).IsFinal(); got != final {
			t.Errorf("%d: final %v, want %v", code, got, final)
		}
	}
}

// The names that the API writes can be read.
func TestNamesInJSON(t *testing.T) {
	for _, s := range States {
		var back State
		if b, err := json.Marshal(s); err != nil || json.Unmarshal(b, &back) != nil || back != s {
			t.Errorf("state %v is read as %v (%v)", s, back, err)
		}
	}
	for s := StatusUnknown; s <= StatusRemoved; s++ {
		var back Status
		if b, err := json.Marshal(s); err != nil || json.Unmarshal(b, &back) != nil || back != s {
			t.Errorf("status %v is read as %v (%v)", s, back, err)
		}
	}
	for y := Once; y <= Unknown; y++ {
		var back Type
		if b, err := json.Marshal(y); err != nil || json.Unmarshal(b, &back) != nil || back != y {
			t.Errorf("type %v is read as %v (%v)", y, back, err)
		}
	}
	var s State
	if json.Unmarshal([]byte(`"nosuch"`), &s) == nil {
		t.Error(`no error for the unknown state "nosuch"`)
	}
}

func TestIsHealthy(t *testing.T) {
	for state, want := range map[State]bool{
		StateRunning: true, StateUpgrading: true, StateRemoved: true,
		StateStarting: false, StateDegraded: false, StateCrashLoop: false, StateStopped: false, StateInstalled: false,
	} {
		if got := (View{Type: Persist, State: state}).IsHealthy(); got != want {
			t.Errorf("%v: healthy %v, want %v", state, got, want)
		}
	}
	if !(View{Type: Once, State: StateInstalled}).IsHealthy() {
		t.Error("an installed Once plugin is not healthy")
	}
}
