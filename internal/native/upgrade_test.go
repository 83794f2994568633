package native

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

var offer = plugin.Change{Name: "p", Version: "2.0", Timeout: time.Minute}

// upgradeCase is an upgrade of p, and its expected result.
type upgradeCase struct {
	script     string // of 2.0
	config     string
	old        record.Record
	offer      plugin.Change
	nothing    bool // installed before
	noFolder   bool // of the old version
	outcome    plugin.Outcome
	cause      string
	status     plugin.Status
	rolledBack bool
	tag        plugin.SysTag
	calls      []string
	installed  string
}

func TestUpgrade(t *testing.T) {
	const tagged = `{"name":"p","version":"2.0","runPath":"run","pluginType":1,"timeout":"60","addSysTag":true}`
	ran := plugin.Outcome{Verb: plugin.VerbUpgrade}
	back := []string{"--stop 2.0 from -", "--status 2.0 from -", "--status 1.0 from -", "--start 1.0 from -", "--status 1.0 from -"}
	whole := []string{
		"--status 1.0 from -", "--status 2.0 from -", // the old one runs, and the new one can be run
		"--stop 1.0 from -", "--status 1.0 from -", "--upgrade 2.0 from 1.0", "--status 2.0 from -",
	}
	for name, tt := range map[string]upgradeCase{
		"UP-06 well behaved": {
			script: okScript, outcome: ran, status: plugin.StatusRunning, calls: whole, installed: "2.0",
		},
		"UP-06 no --timeout in the offer": {
			script: okScript, offer: plugin.Change{Name: "p", Version: "2.0"},
			outcome: ran, status: plugin.StatusRunning, calls: whole, installed: "2.0",
		},
		"UP-06 started when --upgrade does not": {
			script:  `test "$1" = --upgrade && exit 0` + okScript,
			outcome: ran, status: plugin.StatusRunning, installed: "2.0",
			calls: append(whole[:6:6], "--start 2.0 from -", "--status 2.0 from -"),
		},
		"UP-06 started when --upgrade fails": {
			script:  `test "$1" = --upgrade && echo disk full && exit 7` + okScript,
			outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: 7, Output: "disk full\n"}, cause: "--upgrade to 2.0: exit 7",
			status: plugin.StatusRunning, installed: "2.0",
			calls: append(whole[:6:6], "--start 2.0 from -", "--status 2.0 from -"),
		},
		"UP-06 the verb has the offer's deadline": {
			script: `if test "$1" = --upgrade; then ` + hangingScript + `fi` + okScript, offer: plugin.Change{Name: "p", Version: "2.0", Timeout: time.Second},
			outcome: plugin.Outcome{Verb: plugin.VerbUpgrade, ExitCode: -1, TimedOut: true}, cause: "--upgrade to 2.0: did not return within 1s",
			status: plugin.StatusRunning, installed: "2.0",
			calls: append(whole[:6:6], "--start 2.0 from -", "--status 2.0 from -"),
		},
		"UP-06 cannot be started": {
			script:  `test "$1" = --upgrade || exit 4`,
			outcome: plugin.Outcome{Verb: plugin.VerbStart, ExitCode: 4}, cause: "rolled back to 1.0: --start of 2.0: exit 4",
			status: plugin.StatusRunning, rolledBack: true, installed: "1.0",
			calls: append(whole[:6:6], append([]string{"--start 2.0 from -", "--status 2.0 from -"}, back...)...),
		},
		"UP-06 does not run": {
			script:  `test "$1" != --status`,
			outcome: plugin.Outcome{Verb: plugin.VerbStart}, cause: "rolled back to 1.0: --start of 2.0: --status fails after --start: exit 1",
			status: plugin.StatusRunning, rolledBack: true, installed: "1.0",
			calls: append(whole[:6:6], append([]string{"--start 2.0 from -", "--status 2.0 from -"}, back...)...),
		},
		"UP-08 not installed": {
			script: okScript, nothing: true, outcome: ran, status: plugin.StatusRunning, installed: "2.0",
			calls: []string{"--status 2.0 from -", "--upgrade 2.0 from -", "--status 2.0 from -"},
		},
		"UP-08 same version": {
			script: okScript, offer: plugin.Change{Name: "p", Version: "1.0"}, outcome: ran, status: plugin.StatusRunning, installed: "1.0",
			calls: []string{"--status 1.0 from -", "--status 1.0 from -", "--stop 1.0 from -", "--status 1.0 from -", "--upgrade 1.0 from 1.0", "--status 1.0 from -"},
		},
		"UP-08 older version": {
			script: okScript, old: record.Record{Version: "3.0"}, outcome: ran, status: plugin.StatusRunning, installed: "2.0",
			calls: []string{"--status 3.0 from -", "--status 2.0 from -", "--stop 3.0 from -", "--status 3.0 from -", "--upgrade 2.0 from 3.0", "--status 2.0 from -"},
		},
		"old folder gone": {
			script: okScript, noFolder: true, outcome: ran, status: plugin.StatusRunning, installed: "2.0",
			calls: []string{"--status 2.0 from -", "--upgrade 2.0 from -", "--status 2.0 from -"},
		},
		"old one no daemon": {
			script: okScript, old: record.Record{Version: "1.0", Type: plugin.Commander}, outcome: ran, status: plugin.StatusRunning,
			installed: "2.0", calls: []string{"--status 2.0 from -", "--upgrade 2.0 from 1.0", "--status 2.0 from -"},
		},
		"new one no daemon": {
			script: okScript, config: `{"name":"p","version":"2.0","runPath":"run"}`,
			outcome: ran, status: plugin.StatusInstalled, installed: "2.0", calls: []string{"--status 1.0 from -", "--stop 1.0 from -", "--status 1.0 from -", "--upgrade 2.0 from 1.0"},
		},
		"tag added": {
			script: okScript, config: tagged, outcome: ran, status: plugin.StatusRunning, installed: "2.0", calls: whole, tag: plugin.SysTagAdd,
		},
		"tag removed": {
			script: okScript, old: record.Record{Version: "1.0", Type: plugin.Persist, AddSysTag: true},
			outcome: ran, status: plugin.StatusRunning, installed: "2.0", calls: whole, tag: plugin.SysTagRemove,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.check(t)
		})
	}
}

func (tt upgradeCase) check(t *testing.T) {
	b := newFixture(t)
	before := plugin.Plugin{}
	if !tt.nothing {
		if tt.old.Version == "" {
			tt.old = record.Record{Version: "1.0"}
		}
		if tt.old.Type == plugin.Once {
			tt.old.Type = plugin.Persist
		}
		tt.old.Name, tt.old.RunPath, tt.old.Timeout, tt.old.PluginID = "p", "run", "60", "id-1"
		dir := b.unpack("p", tt.old.Version, okScript, "")
		b.touch("plugin", "p", tt.old.Version, "running")
		before = b.putRecord(tt.old)
		if tt.noFolder {
			os.RemoveAll(dir)
		}
	}
	if tt.offer == (plugin.Change{}) {
		tt.offer = offer
	}
	b.unpack("p", tt.offer.Version, tt.script, tt.config)

	got := b.fetchAndChange(t.Context(), tt.offer, plugin.ChangePermit{})
	if got.Cause() != tt.cause {
		t.Errorf("cause %q, want %q", got.Cause(), tt.cause)
	}
	after := b.findPlugin("p")
	want := plugin.ChangeResult{Outcome: tt.outcome, Plugin: after, Previous: before.Version, Status: tt.status, SysTag: tt.tag, RolledBack: tt.rolledBack}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(plugin.Outcome{}, "Err")); diff != "" {
		t.Error(diff)
	}
	if after.Version != tt.installed || !tt.nothing && after.ID != before.ID { // ST-14
		t.Errorf("recorded %+v", after)
	}
	if tt.status == plugin.StatusRunning { // UP-13: --status at the end
		tt.calls = append(tt.calls[:len(tt.calls):len(tt.calls)], "--status "+tt.installed+" from -")
	}
	if diff := cmp.Diff(tt.calls, b.readCalls()); diff != "" {
		t.Error(diff)
	}
	if r, _, _ := b.registry.Find(t.Context(), "p"); !tt.nothing && r.PluginID != "id-1" {
		t.Errorf("plugin id %q", r.PluginID)
	}
}

func TestUpgradeRefused(t *testing.T) {
	tests := map[string]struct {
		offer   plugin.Change
		config  string // of 2.0, "-": not unpacked
		options func(*Options)
		spoil   func(dir string)
		cause   string
	}{
		"not unpacked":   {offer: offer, config: "-", cause: "version 2.0 is not unpacked on this host"},
		"no config.json": {offer: offer, spoil: func(dir string) { os.Remove(filepath.Join(dir, "config.json")) }, cause: "config.json"},
		"not JSON":       {offer: offer, config: `{`, cause: "malformed"},
		"other name":     {offer: offer, config: `{"name":"q","version":"2.0","runPath":"run"}`, cause: "package is q 2.0, not p 2.0"},
		"other version":  {offer: offer, config: `{"name":"p","version":"2.1","runPath":"run"}`, cause: "package is p 2.1, not p 2.0"},
		"other os":       {offer: offer, config: `{"name":"p","version":"2.0","runPath":"run","osType":"windows"}`, cause: "windows"},
		"other arch":     {offer: offer, config: `{"name":"p","version":"2.0","runPath":"run","arch":"arm"}`, cause: "arm"},
		"ST-15 runPath":  {offer: offer, config: `{"name":"p","version":"2.0","runPath":"../1.0/run"}`, cause: "leaves the package"},
		"no executable":  {offer: offer, spoil: func(dir string) { os.Remove(filepath.Join(dir, "run")) }, cause: "executable missing"},
		"ST-15 name":     {offer: plugin.Change{Name: "..", Version: "2.0"}, cause: "is reserved for folders"},
		"ST-15 version":  {offer: plugin.Change{Name: "p", Version: "../2.0"}, cause: "version"},
		"UP-08 same version where that is off": {
			offer: plugin.Change{Name: "p", Version: "1.0"}, options: func(o *Options) { o.AllowDowngrade = false },
			cause: "version 1.0 is not newer than the installed 1.0",
		},
		"UP-08 older version where that is off": {
			offer: plugin.Change{Name: "p", Version: "0.9"}, options: func(o *Options) { o.AllowDowngrade = false },
			cause: "version 0.9 is not newer than the installed 1.0",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.options == nil {
				tt.options = func(*Options) {}
			}
			b := newFixture(t, tt.options)
			before := b.install("p", "1.0", okScript, "60")
			if tt.config != "-" {
				dir := b.unpack("p", "2.0", okScript, tt.config)
				if tt.spoil != nil {
					tt.spoil(dir)
				}
			}
			got := b.fetchAndChange(t.Context(), tt.offer, plugin.ChangePermit{})
			if !strings.Contains(got.Cause(), tt.cause) || got.ExitCode != -1 || got.Status != plugin.StatusUnknown || got.TimedOut {
				t.Errorf("got %+v, want cause %q", got, tt.cause)
			}
			if after := b.findPlugin("p"); after != before || b.readCalls() != nil {
				t.Errorf("changed: %+v, %q", after, b.readCalls())
			}
			event := plugin.NewUpdateEvent(time.Now(), tt.offer, got)
			if event.Keywords["status"] != "1" {
				t.Errorf("status %s in the event, want 1", event.Keywords["status"])
			}
		})
	}
}

func TestUpgradeKeepsOldVersionThatDoesNotStop(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	before := b.install("p", "1.0", `test "$1" != --stop || exit 5`, "3")
	b.unpack("p", "2.0", okScript, "")
	got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{})
	want := plugin.ChangeResult{
		Outcome: plugin.Outcome{Verb: plugin.VerbStop, ExitCode: 5, Err: got.Err},
		Plugin:  before, Previous: "1.0", Status: plugin.StatusRunning,
	}
	if !reflect.DeepEqual(got, want) || got.Cause() != "--stop of 1.0: exit 5: still running 3s after --stop" {
		t.Errorf("got %+v", got)
	}
	if after := b.findPlugin("p"); after != before {
		t.Errorf("recorded %+v", after)
	}
}

func TestUpgradeKeepsOldVersionWhenRecordIsLocked(t *testing.T) {
	b := newFixture(t)
	before := b.install("p", "1.0", okScript, "60")
	b.touch("plugin", "p", "1.0", "running")
	b.unpack("p", "2.0", okScript, "")
	b.Manager.registry = registry.New(registry.Options{Root: b.root, Wait: 100 * time.Millisecond})
	reader, _, err := lock.Shared(t.Context(), filepath.Join(b.root, "plugin", "installed_plugins.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := b.fetchAndChange(t.Context(), offer, plugin.ChangePermit{}) // the database can be read, and not written
	reader()
	want := plugin.ChangeResult{Outcome: failedOutcome(plugin.VerbUpgrade, got.Err), Plugin: before, Previous: "1.0", Status: plugin.StatusRunning}
	if !reflect.DeepEqual(got, want) || !errors.Is(got.Err, registry.ErrLocked) {
		t.Errorf("got %+v", got)
	}
	calls := []string{"--status 1.0 from -", "--status 2.0 from -", "--stop 1.0 from -", "--status 1.0 from -", "--status 1.0 from -", "--start 1.0 from -", "--status 1.0 from -", "--status 1.0 from -"}
	if diff := cmp.Diff(calls, b.readCalls()); diff != "" || b.findPlugin("p") != before {
		t.Errorf("recorded %+v\n%s", b.findPlugin("p"), diff)
	}
}

// After a shutdown during an upgrade, the next start runs the recorded version.
func TestUpgradeCancelled(t *testing.T) {
	const oldHangs = `if test "$1" = --stop; then ` + hangingScript + `fi` + okScript
	const newHangs = `if test "$1" = --upgrade; then ` + hangingScript + `fi` + okScript
	tests := map[string]struct {
		old, next, hung, recorded string
		verb                      plugin.Verb
	}{
		"while the old one is stopped":         {oldHangs, okScript, "1.0", "1.0", plugin.VerbStop},
		"while the new one is upgraded":        {okScript, newHangs, "2.0", "2.0", plugin.VerbUpgrade},
		"while it waits for the other program": {okScript, okScript, "", "1.0", plugin.VerbUpgrade},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			b.install("p", "1.0", tt.old, "3600")
			b.unpack("p", "2.0", tt.next, "")
			child := filepath.Join(b.root, "plugin", "p", tt.hung, "child")
			ready := func() bool { return isAlive(t, child) }
			if tt.hung == "" {
				b.holdLock("p", true)
				ready = func() bool { return len(b.findLogged(waitingLine)) > 0 }
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer cancel()
				eventually(t, "it hangs", ready)
			}()
			got := b.fetchAndChange(ctx, plugin.Change{Name: "p", Version: "2.0", Timeout: time.Hour}, plugin.ChangePermit{})
			if !errors.Is(got.Err, context.Canceled) || got.Verb != tt.verb || got.Status != plugin.StatusUnknown {
				t.Errorf("got %+v", got)
			}
			if after := b.findPlugin("p"); after.Version != tt.recorded || got.Plugin != after {
				t.Errorf("recorded %+v, result says %+v", after, got.Plugin)
			}
			if tt.hung == "" {
				return // the lock is held to the end
			}
			if isAlive(t, child) {
				t.Error("a process is left over")
			}
			if got := b.Start(t.Context(), b.findPlugin("p")); got.Err != nil { // as the next start does
				t.Errorf("recovery: %+v", got)
			}
		})
	}
}
