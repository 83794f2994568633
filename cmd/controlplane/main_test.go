package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"controlplane": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitaddress": waitAddress,
			"sigterm":     sigterm,
			"pack":        pack,
		},
	})
}

// waitAddress waits for an address file and sets $VARIABLE to what is in it:
// waitaddress FILE VARIABLE
func waitAddress(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitaddress FILE VARIABLE")
	}
	file := ts.MkAbs(args[0])
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			// Written atomically: once it is there, all of it is.
			ts.Setenv(args[1], strings.TrimSuffix(string(text), "\n"))
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}

// sigterm sends SIGTERM, which testscript's own kill does not know, to what
// runs in the background.
func sigterm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sigterm")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

func TestPlainTellsTheTerminalNothing(t *testing.T) {
	for text, want := range map[string]string{"": "-", "log-agent": "log-agent", "ü ✓": "ü ✓", "a\x1b[2J\tb\nc": "a�[2J�b�c"} {
		if got := plain(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
