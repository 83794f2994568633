package admin

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/plugin"
)

// EV-14: commands of operators are accepted or rejected with a reason.
func TestCommands(t *testing.T) {
	c := Dial(serveAPI(t, fakeSupervisor{}))
	for _, o := range []Command{CommandStart, CommandForce, CommandStop, CommandRestart, CommandCancel} {
		if got, err := c.SendCommand(t.Context(), o, "hello"); got != string(o)+" hello" || err != nil {
			t.Errorf("%s: answer %q, error %v, want it accepted", o, got, err)
		}
		if _, err := c.SendCommand(t.Context(), o, "crash"); err == nil || errors.Is(err, plugin.ErrNoPlugin) ||
			!strings.Contains(err.Error(), "crash is being upgraded") {
			t.Errorf("%s, rejected: %v", o, err)
		}
		for _, name := range []string{"absent", "", "..", "a/b", "a?b", "ä"} {
			if _, err := c.SendCommand(t.Context(), o, name); !errors.Is(err, plugin.ErrNoPlugin) {
				t.Errorf("%s %q: error %v, want %v", o, name, err, plugin.ErrNoPlugin)
			}
		}
	}
	if _, err := c.SendCommand(t.Context(), "dance", "hello"); !errors.Is(err, plugin.ErrNoPlugin) {
		t.Errorf("unknown command: error %v, want %v", err, plugin.ErrNoPlugin)
	}
}

// SPEC 1: commands work for every valid plugin name.
func TestCommandsForEveryName(t *testing.T) {
	for _, name := range []string{
		"a b", "云助手", "a@b:c~d", "%2F", "a%b", "a?b#c&d=e", ".hidden", "...", "a;b", `"'`, "+", strings.Repeat("云", 85), "start",
	} {
		c := Dial(serveAPI(t, fakeSupervisor{extraPlugin: name}))
		if got, err := c.SendCommand(t.Context(), CommandStop, name); err != nil || got != "stop "+name {
			t.Errorf("%q: %q, %v", name, got, err)
		}
		if got, err := c.RequestChange(t.Context(), plugin.Change{Name: name, Version: name}); err != nil || got != "upgrade to "+name+" of "+name {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestCommandWithoutAnswer(t *testing.T) {
	if _, err := Dial(serveAPI(t, fakeSupervisor{stuck: true})).SendCommand(t.Context(), CommandStop, "hello"); err == nil ||
		!strings.Contains(err.Error(), "the supervisor did not answer within 2s") {
		t.Errorf("stuck: %v", err)
	}
	none := filepath.Join(socketDir(t), "none")
	if _, err := Dial(none).SendCommand(t.Context(), CommandStop, "hello"); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("none: %v", err)
	}
}

// The server reads what the client sends. Any other query is rejected or read,
// and never has a negative limit.
func FuzzParseEvents(f *testing.F) {
	for _, s := range []string{
		"", "follow=1", "plugin=a&after=7&limit=3&since=2026-03-04T12:00:00.5Z", "limit=-1", "after=x&limit=y&since=z&follow=w",
		"since=0000-01-01T00:00:00Z", "plugin=%00&plugin=b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		filter, follow, err := parseEvents(q)
		if err != nil {
			return
		}
		if filter.Limit < 0 {
			t.Fatalf("limit %d, want 0 or more", filter.Limit)
		}
		again, followAgain, err := parseEvents(encodeQuery(filter, follow))
		if err != nil || follow != followAgain || !again.Since.Equal(filter.Since) {
			t.Fatalf("%+v became %+v, %v", filter, again, err)
		}
		if again.Since = filter.Since; again != filter {
			t.Fatalf("%+v became %+v", filter, again)
		}
	})
}
