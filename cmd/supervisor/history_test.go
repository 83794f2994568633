package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// writeCrash writes entries of a plugin that crashed, and of another plugin.
func writeCrash(t *testing.T, f *fakeSupervisor) {
	t.Helper()
	at := f.snapshot.At.Add(-time.Minute)
	f.writeEntry(t, plugin.Entry{At: at, Kind: plugin.EntrySupervisor, Cause: "started"})
	f.writeEntry(t, plugin.Entry{
		At: at, Kind: plugin.EntryExit, Plugin: "bad", Version: "1.0", Decision: "restart",
		Exit: &plugin.Exit{At: at, PID: 7, CauseKnown: true, Signal: "SIGSEGV", Output: "one\ntwo \x1b[31m<red>\n"},
	})
	f.writeEntry(t, plugin.Entry{
		At: at.Add(time.Second), Kind: plugin.EntryState, Plugin: "bad", Version: "1.0",
		From: plugin.StateStarting, To: plugin.StateCrashLoop, Cause: "exit 3", Next: "retry", NextAt: at.Add(2 * time.Minute),
	})
	f.writeEntry(t, plugin.Entry{At: time.Now(), Kind: plugin.EntryState, Plugin: "good", From: plugin.StateStarting, To: plugin.StateRunning})
}

// EV-12: why prints the entries, newest first, from the supervisor and without one
// from the files.
func TestWhyCommand(t *testing.T) {
	f := newFake(t, newView("good", plugin.StateRunning), newView("bad", plugin.StateCrashLoop), newView("new", plugin.StateInstalled))
	writeCrash(t, f)
	inOrder := func(t *testing.T, text string, parts ...string) {
		t.Helper()
		rest := text
		for _, p := range parts {
			_, after, ok := strings.Cut(rest, p)
			if !ok {
				t.Fatalf("no %q, in this order, in\n%s", p, text)
			}
			rest = after
		}
	}
	chain := []string{"starting → crash-loop: exit 3\n", "→ next: retry at ", "exited: killed by SIGSEGV (pid 7)\n", "→ restart\n", "| one\n", "| two ·[31m<red>\n"}

	code, out, errs := f.runCommandLine(t.Context(), "why", "bad")
	if code != exitOK || !strings.Contains(errs, "cannot reach the supervisor at ") || !strings.Contains(errs, "files") {
		t.Errorf("without a supervisor: exit %d, stderr %q", code, errs)
	}
	inOrder(t, out, chain...)
	if strings.Contains(out, "good") || strings.Contains(out, "started") {
		t.Errorf("why bad shows other entries:\n%s", out)
	}

	f.serve(t)
	code, out, errs = f.runCommandLine(t.Context(), "why", "bad")
	if code != exitOK || errs != "" {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
	inOrder(t, out, append([]string{"bad 1.0  crash-loop for 0s, 0 restarts\n\n", "59s ago", "(in 1m)"}, chain[2:]...)...)

	_, out, _ = f.runCommandLine(t.Context(), "why", "bad", "-n", "1")
	if strings.Contains(out, "SIGSEGV") {
		t.Errorf("-n 1 shows more:\n%s", out)
	}
	_, out, _ = f.runCommandLine(t.Context(), "why", "bad", "--lines=1")
	if strings.Contains(out, "| one") || !strings.Contains(out, "| two") {
		t.Errorf("--lines=1:\n%s", out)
	}
	_, out, _ = f.runCommandLine(t.Context(), "why", "bad", "-o", "json")
	var got whyResult
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Plugin == nil || got.Plugin.Name != "bad" || len(got.Entries) != 2 || got.Entries[1].Exit.Signal != "SIGSEGV" {
		t.Errorf("as JSON:\n%s", out)
	}
	for name, want := range map[string]exitCode{"new": exitOK, "missing": exitNone} {
		if code, out, errs := f.runCommandLine(t.Context(), "why", name); code != want {
			t.Errorf("%s: exit %d, %q, %q", name, code, out, errs)
		}
	}
}

func TestEventsCommand(t *testing.T) {
	f := newFake(t, newView("good", plugin.StateRunning), newView("bad", plugin.StateCrashLoop))
	writeCrash(t, f)
	f.serve(t)
	for _, c := range []struct {
		args  string
		lines int
		has   string
	}{
		{"", 4, "supervisor: started"},
		{"-n 2", 2, "starting → running"},
		{"-n 0", 4, "supervisor: started"},
		{"--plugin bad", 2, "killed by SIGSEGV (pid 7) → restart"},
		{"--since 1h", 1, "good "},
		{"-o json", 4, `"kind":"exit","plugin":"bad"`},
	} {
		code, out, errs := f.runCommandLine(t.Context(), append([]string{"events"}, strings.Fields(c.args)...)...)
		if code != exitOK || errs != "" || strings.Count(out, "\n") != c.lines || !strings.Contains(out, c.has) || strings.Contains(out, "\x1b") {
			t.Errorf("events %s: exit %d, %q\n%s", c.args, code, errs, out)
		}
	}
	for args, want := range map[string]exitCode{"--plugin missing": exitNone, "-n -1": exitUsage, "--since x": exitUsage} {
		if code, _, _ := f.runCommandLine(t.Context(), append([]string{"events"}, strings.Fields(args)...)...); code != want {
			t.Errorf("events %s: exit %d, want %d", args, code, want)
		}
	}
}

// Damaged lines are reported on standard error and the other entries are shown, from
// the supervisor as from the files.
func TestEventsOfADamagedJournal(t *testing.T) {
	f := newFake(t)
	writeCrash(t, f)
	file := filepath.Join(f.root, "supervisor", "journal.jsonl")
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(b), "exit 3", "exit 4", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, with := range []string{"files", "supervisor"} {
		if with == "supervisor" {
			f.serve(t)
		}
		code, out, errs := f.runCommandLine(t.Context(), "events")
		if code != exitOK || !strings.Contains(errs, "skipped a damaged line of the journal") || strings.Count(out, "\n") != 3 {
			t.Errorf("%s: exit %d, %q\n%s", with, code, errs, out)
		}
	}
}

// followCommand runs a command until its context ends; next returns the next line of
// its output.
func followCommand(t *testing.T, f *fakeSupervisor, stderr io.Writer, args ...string) (next func() string, end func() exitCode) {
	t.Helper()
	ctx, cancel := context.WithCancel(limitTime(t))
	r, w := io.Pipe()
	code := make(chan exitCode, 1)
	go func() {
		code <- execute(ctx, append(args, "--root", f.root, "--config", os.DevNull), w, stderr)
		_ = w.Close()
	}()
	printed := make(chan string, 100)
	go func() {
		for d := []byte{}; ; {
			b := make([]byte, 4096)
			n, err := r.Read(b)
			d = append(d, b[:n]...)
			for {
				line, rest, ok := strings.Cut(string(d), "\n")
				if !ok {
					break
				}
				printed <- line
				d = []byte(rest)
			}
			if err != nil {
				return
			}
		}
	}()
	next = func() string {
		t.Helper()
		select {
		case line := <-printed:
			return line
		case <-time.After(timeLimit):
			t.Fatal("no further line is printed")
			return ""
		}
	}
	return next, func() exitCode { cancel(); return <-code }
}

// EV-12: events -f begins with the files if no supervisor runs, and continues when
// the supervisor is restarted; each entry is printed once.
func TestEventsFollow(t *testing.T) {
	f := newFake(t, newView("a", plugin.StateInstalled))
	f.writeEntry(t, plugin.Entry{Kind: plugin.EntryHost, Cause: "one"})
	next, end := followCommand(t, f, io.Discard, "events", "-f", "-n", "5")
	see := func(cause string) {
		t.Helper()
		if line := next(); !strings.HasSuffix(line, ": "+cause) {
			t.Fatalf("printed %q, want %q", line, cause)
		}
	}
	see("one")
	stop := f.serve(t)
	<-f.followed
	f.writeEntry(t, plugin.Entry{Kind: plugin.EntryHost, Cause: "two"})
	see("two")
	stop()
	f.writeEntry(t, plugin.Entry{Kind: plugin.EntryHost, Cause: "three"})
	f.serve(t)
	see("three")
	f.writeEntry(t, plugin.Entry{Kind: plugin.EntryHost, Cause: "four"})
	see("four")
	if code := end(); code != exitOK {
		t.Errorf("exit %d", code)
	}
}

// logs prints the output of a plugin, with and without a supervisor.
func TestLogsCommand(t *testing.T) {
	f := newFake(t, newView("hello", plugin.StateRunning), newView("silent", plugin.StateRunning))
	path := layout.Log(f.root, "hello")
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("one\ntwo\n\tthree\x1b[2J\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if code, out, _ := f.runCommandLine(t.Context(), "logs", "hello"); code != exitOK || out != "one\ntwo\n    three·[2J\n" {
		t.Errorf("without a supervisor: exit %d, %q", code, out)
	}
	f.serve(t)
	for args, want := range map[string]string{
		"hello -n 1":         "    three·[2J\n",
		"hello -n 1 -o json": `{"plugin":"hello","line":"\tthree\u001b[2J"}` + "\n",
		"silent":             "",
	} {
		code, out, errs := f.runCommandLine(t.Context(), append([]string{"logs"}, strings.Fields(args)...)...)
		if code != exitOK || out != want || strings.HasPrefix(args, "silent") != strings.Contains(errs, "silent has printed nothing yet") {
			t.Errorf("logs %s: exit %d, %q, %q", args, code, out, errs)
		}
	}
	for _, name := range []string{"missing", "../supervisor", ""} {
		if code, out, errs := f.runCommandLine(t.Context(), "logs", name); code != exitNone || out != "" || !strings.Contains(errs, "no such plugin") {
			t.Errorf("logs %q: exit %d, %q, %q", name, code, out, errs)
		}
	}
	next, end := followCommand(t, f, io.Discard, "logs", "-f", "-n", "2", "hello")
	if a, b := next(), next(); a != "two" || b != "    three·[2J" {
		t.Errorf("logs -f begins with %q, %q", a, b)
	}
	if err := os.WriteFile(path, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if line := next(); line != "new" {
		t.Errorf("after the log was rewritten: %q", line)
	}
	if code := end(); code != exitOK {
		t.Errorf("exit %d", code)
	}
}
