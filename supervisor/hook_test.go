package supervisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/procfs"
	"pluginsupervisor/plugin"
)

// fakeFinder is a control plane that lists one package, or cannot be reached.
type fakeFinder struct{ unreachable bool }

func (l fakeFinder) FindPackage(context.Context, string, string) (control.Package, error) {
	if l.unreachable {
		return control.Package{}, errors.New("no route to host")
	}
	return control.Package{URL: "http://cp/a.zip", SHA256: "abc"}, nil
}

// UP-05: the command of upgrade.hook handles an update with exit 0 only. A command
// that hangs is a problem, and all its processes are killed.
func TestUpdateHook(t *testing.T) {
	update := plugin.AssignedUpdate{
		Change: plugin.Change{Name: "a", Version: "2.0", Timeout: 90 * time.Second}, Installed: "1.0",
	}
	for name, c := range map[string]struct {
		script      string // "" for no file
		mode        os.FileMode
		timeout     time.Duration
		unreachable bool // the control plane
		handled     bool
		problem     string // a part of the noted one, "" for none
	}{
		"handles it": {
			script:  `[ "$UPDATE_NAME $UPDATE_INSTALLED $UPDATE_VERSION $UPDATE_TIMEOUT $UPDATE_ROOT $UPDATE_URL $UPDATE_SHA256 $1" = "a 1.0 2.0 90 /root http://cp/a.zip abc argument" ]`,
			handled: true,
		},
		"no control plane": {script: `[ -z "$UPDATE_URL" ]`, unreachable: true, handled: true},
		"leaves it":        {script: "exit 3"},
		"hangs":            {script: `sleep 300 & echo $! > "$0.child"; sleep 300`, timeout: 200 * time.Millisecond, problem: "a 2.0: did not return within 200ms"},
		"ignores SIGTERM":  {script: `trap "" TERM; sleep 300 & echo $! > "$0.child"; while :; do sleep 1; done`, timeout: 200 * time.Millisecond, problem: "did not return within 200ms"},
		"missing":          {problem: "missing"},
		"not executable":   {script: "exit 0", mode: 0o644, problem: "not executable"},
		"killed":           {script: "kill -9 $$", problem: "SIGKILL"},
		"prints a lot":     {script: "head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2; exit 0", handled: true},
	} {
		t.Run("UP-05 "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hook")
			if c.script != "" {
				if c.mode == 0 {
					c.mode = 0o755
				}
				if err := os.WriteFile(path, []byte("#!/bin/sh\n"+c.script+"\n"), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			if c.timeout == 0 {
				c.timeout = time.Minute
			}
			log, _ := test.NewNullLogger()
			noted, problem := 0, ""
			h := updateHook{
				command: []string{path, "argument"}, timeout: c.timeout, root: "/root", packages: fakeFinder{c.unreachable}, log: log,
				runner: process.NewRunner(process.Options{Grace: 100 * time.Millisecond}),
				note: func(what string, failed error, _ time.Time) {
					noted++
					if failed != nil {
						problem = what + ": " + failed.Error()
					}
				},
			}
			began := time.Now()
			handled := h.handleUpdate(t.Context(), update)
			if handled != c.handled || noted != 1 || (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) {
				t.Errorf("handled: %v, %d notes, problem %q; want %v, 1 note, problem %q", handled, noted, problem, c.handled, c.problem)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %s, want at most 30s", took)
			}
			if child, err := os.ReadFile(path + ".child"); err == nil {
				pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
				if err != nil {
					t.Fatal(err)
				}
				if s, err := procfs.ReadStat(pid); err == nil && s.State != 'Z' {
					t.Errorf("child %d of the hook still runs", pid)
				}
			}
		})
	}
}

// UP-05: a hook that is killed because the supervisor stops is no problem, and
// does not handle the update.
func TestUpdateHookIsCanceled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nsleep 300\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	log, _ := test.NewNullLogger()
	h := updateHook{
		command: []string{path}, timeout: time.Minute, packages: fakeFinder{}, log: log, runner: process.NewRunner(process.Options{}),
		note: func(what string, failed error, _ time.Time) { t.Errorf("noted %s: %v", what, failed) },
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if h.handleUpdate(ctx, plugin.AssignedUpdate{}) {
		t.Error("a canceled hook has handled the update")
	}
}

func TestFirstOf(t *testing.T) {
	var asked []string
	handler := func(name string) plugin.UpdateHandler {
		return func(_ context.Context, u plugin.AssignedUpdate) bool {
			asked = append(asked, name)
			return u.Name == name
		}
	}
	for name, want := range map[string]string{"first": "first true", "second": "first second true", "other": "first second false"} {
		asked = nil
		handled := firstOf(handler("first"), handler("second"))(t.Context(), plugin.AssignedUpdate{Change: plugin.Change{Name: name}})
		if got := strings.Join(append(asked, strconv.FormatBool(handled)), " "); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if !firstOf(nil, handler("second"))(t.Context(), plugin.AssignedUpdate{Change: plugin.Change{Name: "second"}}) {
		t.Error("the second handler is not asked where the first is nil")
	}
}
