package procfs

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestIsThreadExiting(t *testing.T) {
	for line, want := range map[string]bool{
		"7 (a) b) S 1 7 7 0 -1 4194304 1 2": false,
		"7 (a) b) R 1 7 7 0 -1 4194308 1 2": true,
		"7 (a) Z 1 7 7 0 -1 0 1 2":          true,
		"7 (a) S 1":                         false,
		"":                                  false,
	} {
		if got := isThreadExiting([]byte(line)); got != want {
			t.Errorf("%q: %t, want %t", line, got, want)
		}
	}
}

func TestIsKilled(t *testing.T) {
	line := "7 (a) b) S" + strings.Repeat(" 0", 48)
	for code, want := range map[string]bool{" 9": true, " 137": true, " 0": false, " 19": false, " x": false, "": false} {
		if got := isKilled([]byte(line + code)); got != want {
			t.Errorf("exit code %q: %t, want %t", code, got, want)
		}
	}
}

func TestIsKillPending(t *testing.T) {
	for text, want := range map[string]bool{
		"Name:\ta\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n": false,
		"SigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n":           true,
		"SigPnd:\t0000000000000000\nShdPnd:\t0000000000004100\n":           true,
		"SigBlk:\t0000000000000100\nShdPnd:\tx\n":                          false,
	} {
		if got := isKillPending([]byte(text)); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

// A process is exiting after kill(2), until it is reaped, and not before.
func TestIsExiting(t *testing.T) {
	if IsExiting(os.Getpid()) {
		t.Error("this process is not exiting")
	}
	for range 20 {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if IsExiting(cmd.Process.Pid) {
			t.Error("it is not killed yet")
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for over := time.Now().Add(20 * time.Second); !IsExiting(cmd.Process.Pid); {
			if time.Now().After(over) {
				t.Fatal("it was killed 20s ago, and does not count as exiting")
			}
		}
		_ = cmd.Wait()
		if !IsExiting(cmd.Process.Pid) {
			t.Error("it was reaped, and does not count as exiting")
		}
	}
}
