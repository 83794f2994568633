package verb

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/hostfault"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/plugin"
)

func TestProbe(t *testing.T) {
	exit3 := errors.New("exit 3")
	tests := map[string]struct {
		result process.Result
		status plugin.Status
		cause  string
	}{
		"exit 0":        {process.Result{Started: true}, plugin.StatusRunning, ""},
		"exit 3":        {process.Result{Started: true, ExitCode: 3, Err: exit3}, plugin.StatusFailed, "exit 3"},
		"deadline":      {process.Result{Started: true, TimedOut: true, Err: context.DeadlineExceeded}, plugin.StatusFailed, "no answer in 3s"},
		"signal":        {process.Result{Started: true, Signal: syscall.SIGKILL, Err: errors.New("killed by SIGKILL")}, plugin.StatusFailed, "killed by SIGKILL"},
		"RS-07 missing": {process.Result{Err: fs.ErrNotExist}, plugin.StatusFailed, "file does not exist"},
		"cancelled":     {process.Result{Cancelled: true, Err: context.Canceled}, plugin.StatusUnknown, "context canceled"},
		"EV-24 host":    {process.Result{Err: hostfault.New("cannot start: too many open files")}, plugin.StatusUnknown, "cannot start: too many open files"},
		"draining":      {process.Result{Err: process.ErrDraining}, plugin.StatusUnknown, process.ErrDraining.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, at := plugin.Plugin{Name: "p", Timeout: 3 * time.Second}, time.Unix(1, 0)
			want := plugin.Probe{Plugin: p, At: at, Status: tt.status, Cause: tt.cause, HostFault: strings.HasPrefix(name, "EV-24"), NoAnswer: name == "deadline"}
			if diff := cmp.Diff(want, Probe(p, at, tt.result)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	err := errors.New("did not return within 1s")
	got := Outcome(plugin.VerbStart, process.Result{ExitCode: -1, Started: true, TimedOut: true, Output: "half", Err: err})
	want := plugin.Outcome{Verb: plugin.VerbStart, ExitCode: -1, TimedOut: true, Output: "half", Err: err}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDeadline(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: time.Minute, -1: time.Minute, time.Second: time.Second} {
		if got := Deadline(plugin.Plugin{Timeout: set}); got != want {
			t.Errorf("RS-02: %s for %s, want %s", got, set, want)
		}
	}
}

func TestOutputIsCutToItsEnd(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"short":           {"abc", "abc"},
		"long":            {"x" + strings.Repeat("y", maxOutput), strings.Repeat("y", maxOutput)},
		"whole character": {strings.Repeat("é", maxOutput/2) + "z", strings.Repeat("é", maxOutput/2-1) + "z"},
		"not text":        {strings.Repeat("\x80", maxOutput+1), strings.Repeat("\x80", maxOutput)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Outcome(plugin.VerbStop, process.Result{Output: tt.in}).Output
			if got != tt.want || utf8.ValidString(got) != utf8.ValidString(tt.want) {
				t.Errorf("got %d bytes %.20q…, want %d bytes", len(got), got, len(tt.want))
			}
		})
	}
}
