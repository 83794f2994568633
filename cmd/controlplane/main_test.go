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
			"sigterm":     sendSIGTERM,
			"pack":        packPlugin,
			"certificate": makeCertificate,
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
			// Written atomically: it is never incomplete.
			ts.Setenv(args[1], strings.TrimSuffix(string(text), "\n"))
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}

// sendSIGTERM sends SIGTERM, which testscript's kill does not support, to the
// programs in the background.
func sendSIGTERM(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sigterm")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// makeCertificate makes a self-signed certificate for 127.0.0.1 and its key:
// certificate CERT KEY
func makeCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate CERT KEY")
	}
	cert, key, err := trusttest.NewPair()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
}

func TestPrintableRemovesControlCharacters(t *testing.T) {
	for text, want := range map[string]string{"": "-", "log-agent": "log-agent", "ü ✓": "ü ✓", "a\x1b[2J\tb\nc": "a�[2J�b�c"} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) is %q, want %q", text, got, want)
		}
	}
}

// --keep accepts days, too.
func TestRetention(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "12h": 12 * time.Hour, "0": 0, "0d": 0} {
		k := retention(1)
		if err := k.Set(text); err != nil || time.Duration(k) != want {
			t.Errorf("--keep %s is %v, %v; want %v", text, time.Duration(k), err, want)
		}
	}
	for _, text := range []string{"", "d", "-1h", "-3d", "30", "1w", "99999d"} {
		k := retention(time.Hour)
		if err := k.Set(text); err == nil || k.String() != "1h0m0s" {
			t.Errorf("--keep %q is accepted as %s (error %v), want an error", text, &k, err)
		}
	}
	if k := retention(720 * time.Hour); k.String() != "30d" {
		t.Errorf("720h is printed as %s, want 30d", &k)
	}
}
