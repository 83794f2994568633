package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

// crashEntries returns the entries of a crash, newest first.
func crashEntries() []plugin.Entry {
	return []plugin.Entry{
		{
			Seq: 9, At: timeBefore(10 * time.Second), Kind: plugin.EntryState, Plugin: "metrics", Version: "1.9.0",
			From: plugin.StateStarting, To: plugin.StateCrashLoop, Cause: "exit 3",
			Decision: "failure 8, backoff 48s", Next: "retry", NextAt: now.Add(38 * time.Second),
		},
		{
			Seq: 8, At: timeBefore(11 * time.Second), Kind: plugin.EntryExit, Plugin: "metrics", Version: "1.9.0", Cause: "exit 3",
			Exit: &plugin.Exit{PID: 4711, CauseKnown: true, Code: 3, Output: "one\n\ntwo\n\tcannot open \x1b[31m/etc/x.conf\n"}, Output: "not this",
		},
		{
			Seq: 6, At: timeBefore(2 * time.Hour), Kind: plugin.EntryExit, Plugin: "metrics", Version: "1.9.0",
			Cause: "while the supervisor was not running", Decision: "restart", Exit: &plugin.Exit{},
		},
		{
			Seq: 2, At: timeBefore(30 * time.Hour), Kind: plugin.EntryAttempt, Plugin: "metrics", Version: "1.8.0",
			Cause: "did not return within 1m0s", Output: strings.Repeat("x", 300),
		},
		{
			Seq: 1, At: timeBefore(31 * time.Hour), Kind: plugin.EntryExit, Plugin: "metrics",
			Cause: "the exit before: out of memory, killed by the kernel", Exit: &plugin.Exit{OOM: true, PID: 3, Late: true},
		},
	}
}

func setUTC(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
}

// EV-12, EV-10: the entries, newest first, with the exit cause and the last output.
func TestWhy(t *testing.T) {
	setUTC(t)
	v := sampleSnapshot().Plugins[1]
	v.Failures = 8
	var b bytes.Buffer
	if err := WriteWhy(&b, &v, crashEntries(), WhyOptions{Now: now, Output: 2}); err != nil {
		t.Fatal(err)
	}
	want := `
metrics 1.9.0  crash-loop for 12m, 7 restarts, 8 failures since it was healthy
exit 3: ·[2Jcannot open /etc/x.conf, retry in 38s

 10s ago         02:59:50  starting → crash-loop: exit 3
                           → failure 8, backoff 48s; next: retry at 03:00:38 (in 38s)
 11s ago         02:59:49  exited: exit 3 (pid 4711)
                           | two
                           |     cannot open ·[31m/etc/x.conf
  2h ago         01:00:00  exited: cause unknown; while the supervisor was not running
                           → restart
1d6h ago  Feb 27 21:00:00  attempt: did not return within 1m0s
                           | ` + strings.Repeat("x", 159) + `…
1d7h ago  Feb 27 20:00:00  exit cause of pid 3 (late): out of memory, killed by the kernel
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhyWithoutASupervisor(t *testing.T) {
	setUTC(t)
	var b bytes.Buffer
	if err := WriteWhy(&b, nil, crashEntries()[:1], WhyOptions{Now: now.Add(time.Minute), Output: 10}); err != nil {
		t.Fatal(err)
	}
	want := `
1m10s ago  02:59:50  starting → crash-loop: exit 3
                     → failure 8, backoff 48s; next: retry at 03:00:38
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEvent(t *testing.T) {
	setUTC(t)
	var b bytes.Buffer
	host := plugin.Entry{At: now, Kind: plugin.EntryHost, Cause: "disk full\x1b]0;\a", Decision: "continue"}
	for _, e := range append(crashEntries()[:3], host) {
		if err := WriteEvent(&b, e, Paint{}); err != nil {
			t.Fatal(err)
		}
	}
	want := `
2026-03-01 02:59:50  metrics 1.9.0         starting → crash-loop: exit 3 → failure 8, backoff 48s; next: retry at 03:00:38 (in 48s)
2026-03-01 02:59:49  metrics 1.9.0         exited: exit 3 (pid 4711)
2026-03-01 01:00:00  metrics 1.9.0         exited: cause unknown; while the supervisor was not running → restart
2026-03-01 03:00:00  -                     host: disk full·]0;· → continue
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
