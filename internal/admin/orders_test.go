package admin

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/plugin"
)

// EV-14, the door for operators: what is accepted, and why not.
func TestOrders(t *testing.T) {
	c := Dial(serve(t, fake{}))
	for _, o := range []Order{OrderStart, OrderForce, OrderStop, OrderRestart, OrderCancel} {
		if got, err := c.Order(t.Context(), o, "hello"); got != string(o)+" hello" || err != nil {
			t.Errorf("%s: %q, %v", o, got, err)
		}
		if _, err := c.Order(t.Context(), o, "crash"); err == nil || errors.Is(err, plugin.ErrNoPlugin) ||
			!strings.Contains(err.Error(), "crash is being upgraded") {
			t.Errorf("%s, rejected: %v", o, err)
		}
		for _, name := range []string{"nobody", "", "..", "a/b", "a?b", "ä"} {
			if _, err := c.Order(t.Context(), o, name); !errors.Is(err, plugin.ErrNoPlugin) {
				t.Errorf("%s %q: %v", o, name, err)
			}
		}
	}
	if _, err := c.Order(t.Context(), "dance", "hello"); !errors.Is(err, plugin.ErrNoPlugin) {
		t.Errorf("no such order: %v", err)
	}
}

// SPEC 1: a plugin with any name that is allowed can be asked for.
func TestOrdersForEveryName(t *testing.T) {
	for _, name := range []string{
		"a b", "云助手", "a@b:c~d", "%2F", "a%b", "a?b#c&d=e", ".hidden", "...", "a;b", `"'`, "+", strings.Repeat("云", 85), "start",
	} {
		c := Dial(serve(t, fake{knows: name}))
		if got, err := c.Order(t.Context(), OrderStop, name); err != nil || got != "stop "+name {
			t.Errorf("%q: %q, %v", name, got, err)
		}
		if got, err := c.Change(t.Context(), plugin.Change{Name: name, Version: name}); err != nil || got != "upgrade to "+name+" of "+name {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestOrderNobodyAnswers(t *testing.T) {
	if _, err := Dial(serve(t, fake{stuck: true})).Order(t.Context(), OrderStop, "hello"); err == nil ||
		!strings.Contains(err.Error(), "no answer from the supervisor within 2s") {
		t.Errorf("stuck: %v", err)
	}
	none := filepath.Join(socketDir(t), "none")
	if _, err := Dial(none).Order(t.Context(), OrderStop, "hello"); !errors.Is(err, ErrNoSupervisor) {
		t.Errorf("none: %v", err)
	}
}

// What a client asks for is what the supervisor understands; whatever else
// comes is refused or understood, and never asks for less than nothing.
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
			t.Fatalf("limit %d", filter.Limit)
		}
		again, followAgain, err := parseEvents(query(filter, follow))
		if err != nil || follow != followAgain || !again.Since.Equal(filter.Since) {
			t.Fatalf("%+v became %+v, %v", filter, again, err)
		}
		if again.Since = filter.Since; again != filter {
			t.Fatalf("%+v became %+v", filter, again)
		}
	})
}
