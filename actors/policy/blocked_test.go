package policy

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

var blockedStart = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// refusal returns the error of a fetch whose package is not acceptable.
func refusal(pkg, why string) error {
	return fmt.Errorf("fetch: %w", &plugin.PackageError{Package: pkg, Err: errors.New(why)})
}

func assigned(name, version string) plugin.Change { return plugin.Change{Name: name, Version: version} }

// UP-14: a package that cannot be installed is retried at the next check, then after
// twice as long each time, at most a day.
func TestBlockedPace(t *testing.T) {
	for _, tt := range []struct {
		every time.Duration
		want  []int // the checks at which it is tried
	}{
		{30 * time.Minute, []int{0, 1, 3, 7, 15, 31, 63, 111, 159}},
		{10 * time.Second, []int{0, 1, 3, 7, 15, 31, 63, 127}},
		{48 * time.Hour, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
	} {
		b := NewBlocked(plugin.Memory{}, &Batch{})
		var got []int
		for check := 0; len(got) < len(tt.want); check++ {
			now := blockedStart.Add(time.Duration(check) * tt.every)
			if check > 0 {
				now = now.Add(-tt.every / 10) // a check may come less than a period after the failure
			}
			if b.AvoidedPackage(assigned("a", "2.0"), now) == "" {
				got = append(got, check)
				b.AddFailure(assigned("a", "2.0"), refusal("id", "no"), tt.every, now)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("every %v (-want +got):\n%s", tt.every, diff)
		}
	}
}

// UP-14: a block is for one package: another version is tried at once, and another
// package starts with one try. An operator's command and a clock that was set
// override it.
func TestBlockedAvoid(t *testing.T) {
	b := NewBlocked(plugin.Memory{}, &Batch{})
	for range 3 {
		b.AddFailure(assigned("a", "2.0"), refusal("id", "no"), time.Hour, blockedStart)
	}
	operator := assigned("a", "2.0")
	operator.Origin = plugin.FromOperator
	for name, tt := range map[string]struct {
		change plugin.Change
		at     time.Duration
		want   string
	}{
		"blocked":         {assigned("a", "2.0"), time.Hour, "id"},
		"in time":         {assigned("a", "2.0"), 4 * time.Hour, ""},
		"another version": {assigned("a", "3.0"), time.Hour, ""},
		"another plugin":  {assigned("b", "2.0"), time.Hour, ""},
		"an operator":     {operator, time.Hour, ""},
		"clock set back":  {assigned("a", "2.0"), -48 * time.Hour, ""},
	} {
		if got := b.AvoidedPackage(tt.change, blockedStart.Add(tt.at)); got != tt.want {
			t.Errorf("%s: avoids %q, want %q", name, got, tt.want)
		}
	}
	b.AddFailure(assigned("a", "2.0"), refusal("other", "neither"), time.Hour, blockedStart)
	if got := b.List(); len(got) != 1 || got[0].Tries != 1 || got[0].Package != "other" || got[0].Cause != "fetch: neither" {
		t.Errorf("another package: %+v", got)
	}
}

// UP-14: blocked versions are saved, and removed when the version is installed, the
// plugin removed, or the version no longer assigned.
func TestBlockedEnds(t *testing.T) {
	batch := &Batch{}
	b := NewBlocked(plugin.Memory{Blocked: map[string]plugin.Blocked{"old": {Name: "old", Version: "1"}}}, batch)
	for _, name := range []string{"done", "other", "removed", "gone"} {
		b.AddFailure(assigned(name, "2.0"), refusal("id", "no"), time.Hour, blockedStart)
	}
	complete := func(c plugin.Change, err error) {
		b.RecordResult(c, plugin.ChangeResult{Outcome: plugin.Outcome{Err: err}, Package: "id"}, time.Hour, blockedStart)
	}
	removal := assigned("removed", "")
	removal.Kind = plugin.ChangeRemove
	complete(assigned("done", "2.0"), nil)
	complete(assigned("other", "1.0"), nil)
	complete(removal, nil)
	complete(assigned("interrupted", "2.0"), plugin.ErrInterrupted)
	complete(assigned("full", "2.0"), errors.New("the disk is full"))
	b.KeepAssigned([]plugin.Change{assigned("other", "2.0"), assigned("gone", "3.0"), assigned("new", "1.0"), assigned("full", "2.0"), assigned("interrupted", "2.0")})
	if got := b.List(); len(got) != 2 || got[0].Name != "full" || got[1].Name != "other" {
		t.Errorf("left: %+v", got)
	}
	changes, dirty := batch.CollectChanges(nil)
	if !dirty || len(changes.Blocked) != 6 || changes.Blocked["other"] == nil || changes.Blocked["gone"] != nil {
		t.Errorf("to be saved: %+v", changes.Blocked)
	}
}

// EV-24, UP-14: a version that fails for another reason than its package is shown
// and retried at the next check. A version in quarantine is not shown as blocked,
// nor is one whose change was cancelled.
func TestBlockedByHost(t *testing.T) {
	b := NewBlocked(plugin.Memory{}, &Batch{})
	for _, why := range []error{plugin.QuarantinedVersion{Version: "2.0"}, fmt.Errorf("fetch: %w", context.Canceled)} {
		if b.AddFailure(assigned("a", "2.0"), why, time.Hour, blockedStart); len(b.List()) != 0 {
			t.Errorf("%v: %+v", why, b.List())
		}
	}
	failed := plugin.FailedChange(errors.New("no space left on device"))
	for range 5 {
		b.AddFailure(assigned("a", "2.0"), errors.New("too many open files"), time.Hour, blockedStart)
		b.RecordResult(assigned("b", "2.0"), failed, time.Hour, blockedStart)
	}
	got := b.List()
	if len(got) != 2 || got[0].Cause != "too many open files" || got[1].Cause != "no space left on device" {
		t.Fatalf("shown: %+v", got)
	}
	for _, one := range got {
		if one.Tries != 5 || one.Next.After(blockedStart) || b.AvoidedPackage(assigned(one.Name, "2.0"), blockedStart) != "" {
			t.Errorf("not tried at the next check: %+v", one)
		}
	}
	if b.RecordResult(assigned("b", "2.0"), plugin.ChangeResult{}, time.Hour, blockedStart); len(b.List()) != 1 {
		t.Errorf("still shown: %+v", b.List())
	}
}
