package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pluginsupervisor/plugin"
)

// EV-14: a command is accepted or rejected; --wait waits for its result.
func TestLifecycleCommands(t *testing.T) {
	f := newFake(t, newView("hello", plugin.StateRunning), newView("stuck", plugin.StateUpgrading), newView("broken", plugin.StateStopped))
	f.onCommand = func(command, name string) error {
		switch {
		case name == "stuck":
			return errors.New("stuck is being upgraded")
		case name == "broken":
			f.setState(t, name, plugin.StateStarting, "started by an operator")
			f.setState(t, name, plugin.StateCrashLoop, "exit 3")
		case command == "stop":
			f.setState(t, name, plugin.StateStopping, "stopped by an operator")
			f.setState(t, name, plugin.StateStopped, "stopped by an operator")
		default:
			f.setState(t, name, plugin.StateStarting, command+"ed by an operator")
			f.setState(t, name, plugin.StateRunning, "")
		}
		return nil
	}
	if code, _, errs := f.runCommandLine(t.Context(), "stop", "hello"); code != exitNone || !strings.Contains(errs, "cannot reach the supervisor") {
		t.Errorf("without a supervisor: exit %d, %q", code, errs)
	}
	f.serve(t)
	for _, c := range []struct {
		args string
		code exitCode
		out  string
		errs string
	}{
		{"stop hello", exitOK, "accepted: stop hello\n", ""},
		{"start hello --wait", exitOK, "accepted: start hello\nhello is running\n", ""},
		{"start hello --force", exitOK, "accepted: force-start hello\n", ""},
		{"restart hello --wait", exitOK, "accepted: restart hello\nhello is running\n", ""},
		{"stop hello --wait", exitOK, "accepted: stop hello\nhello is stopped\n", ""},
		{"start hello -o json", exitOK, "{\n  \"accepted\": \"start hello\"\n}\n", ""},
		{"stop hello -o json --wait", exitOK, "{\n  \"accepted\": \"stop hello\",\n  \"state\": \"stopped\"\n}\n", ""},
		{"stop stuck", exitFailed, "", "stuck is being upgraded"},
		{"stop missing", exitNone, "", "no such plugin: missing"},
		{"stop ../x", exitNone, "", "no such plugin: ../x"},
		{"start broken --wait", exitFailed, "accepted: start broken\n", "supervisor: broken is crash-loop: exit 3\n"},
		{"stop broken --wait --timeout 50ms", exitFailed, "accepted: stop broken\n", "broken is crash-loop after 50ms: exit 3"},
		{"stop", exitUsage, "", "accepts 1 arg"},
		{"stop hello --timeout 0s", exitUsage, "", "must be positive"},
	} {
		code, out, errs := f.runCommandLine(t.Context(), strings.Fields(c.args)...)
		if code != c.code || out != c.out || !strings.Contains(errs, c.errs) || (c.errs == "") != (errs == "") {
			t.Errorf("%s: exit %d, %q, %q", c.args, code, out, errs)
		}
	}
}

func TestWaitCommand(t *testing.T) {
	f := newFake(t, newView("hello", plugin.StateStarting))
	if code, _, _ := f.runCommandLine(t.Context(), "wait", "hello", "--for=running"); code != exitNone {
		t.Errorf("without a supervisor: exit %d", code)
	}
	end := f.serve(t)
	for _, c := range []struct {
		args string
		code exitCode
		out  string
		errs string
	}{
		{"wait hello --for=starting", exitOK, "hello is starting\n", ""},
		{"wait hello --for=starting -o json", exitOK, "{\n  \"name\": \"hello\",\n  \"state\": \"starting\"\n}\n", ""},
		{"wait hello --for=running --timeout=50ms", exitFailed, "", "supervisor: hello is starting after 50ms\n"},
		{"wait missing --for=running", exitNone, "", "no such plugin: missing"},
		{"wait hello --for=dancing", exitUsage, "", "one of installed, starting, running"},
		{"wait hello", exitUsage, "", "--for is required"},
	} {
		code, out, errs := f.runCommandLine(t.Context(), strings.Fields(c.args)...)
		if code != c.code || out != c.out || !strings.Contains(errs, c.errs) || (c.errs == "") != (errs == "") {
			t.Errorf("%s: exit %d, %q, %q", c.args, code, out, errs)
		}
	}

	// A state that the plugin leaves at once counts, and wait continues when the
	// supervisor is restarted.
	for len(f.followed) > 0 {
		<-f.followed
	}
	next, code := followCommand(t, f, io.Discard, "wait", "hello", "--for=crash-loop")
	<-f.followed
	end()
	f.serve(t)
	<-f.followed
	f.setState(t, "hello", plugin.StateCrashLoop, "exit 3")
	f.setState(t, "hello", plugin.StateRunning, "")
	if line := next(); line != "hello is crash-loop" {
		t.Errorf("printed %q, want that hello is crash-loop", line)
	}
	if code := code(); code != exitOK {
		t.Errorf("exit %d", code)
	}
}

// Names are completed from the supervisor; the scenario no_supervisor checks the
// completion without one.
func TestCompletion(t *testing.T) {
	f := newFake(t, newView("hello", plugin.StateRunning), newView("crash", plugin.StateCrashLoop))
	f.serve(t)
	for _, command := range []string{"why", "logs", "wait", "start", "stop", "restart"} {
		if out := completeArgs(t, f, command, ""); !strings.HasPrefix(out, "hello\ncrash\n") {
			t.Errorf("%s: %q", command, out)
		}
	}
	if out := completeArgs(t, f, "wait", "hello", "--for", ""); !strings.Contains(out, "crash-loop\n") {
		t.Errorf("--for: %q", out)
	}
	if out := completeArgs(t, f, "stop", "hello", ""); strings.Contains(out, "crash") {
		t.Errorf("a second name: %q", out)
	}
}

func completeArgs(t *testing.T, f *fakeSupervisor, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	execute(t.Context(), append([]string{"__complete", args[0], "--root", f.root}, args[1:]...), &out, io.Discard)
	return out.String()
}
