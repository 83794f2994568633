package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pluginsupervisor/internal/trust/trusttest"
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
			"certificate": certificate,
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

// certificate makes a certificate for 127.0.0.1, which is its own authority, and
// its key: certificate CERT KEY
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	cert, key, err := trusttest.NewPair()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
}

func TestPlainTellsTheTerminalNothing(t *testing.T) {
	for text, want := range map[string]string{"": "-", "log-agent": "log-agent", "ü ✓": "ü ✓", "a\x1b[2J\tb\nc": "a�[2J�b�c"} {
		if got := plain(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// --keep takes days, as operators say it.
func TestKeep(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "12h": 12 * time.Hour, "0": 0, "0d": 0} {
		k := keep(1)
		if err := k.Set(text); err != nil || time.Duration(k) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(k), err)
		}
	}
	for _, text := range []string{"", "d", "-1h", "-3d", "30", "1w", "99999d"} {
		k := keep(time.Hour)
		if err := k.Set(text); err == nil || k.String() != "1h0m0s" {
			t.Errorf("%q is taken as %s", text, &k)
		}
	}
	if k := keep(720 * time.Hour); k.String() != "30d" {
		t.Error(k.String())
	}
}
