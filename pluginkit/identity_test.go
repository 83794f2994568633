package pluginkit

import (
	"os"
	"os/exec"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1"
	for line, want := range map[string]struct {
		start      uint64
		zombie, ok bool
	}{
		"7 (hello) S" + rest:      {4242, false, true},
		"7 (a) S 9) (x) R" + rest: {4242, false, true},
		"7 (hello) Z" + rest:      {4242, true, true},
		"7 (hello) R 1 1 1 0 -1 4194564 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1": {4242, true, true}, // it exits
		"7 (hello) S 1 1":              {},
		"":                             {},
		"7 hello S" + rest:             {},
		"7 (x) S 1 1 1 0 -1 1 1 0 0 0": {},
	} {
		start, zombie, err := parseStat([]byte(line))
		if start != want.start || zombie != want.zombie || (err == nil) != want.ok {
			t.Errorf("parseStat(%q) = %d, %v, %v", line, start, zombie, err)
		}
	}
}

// A daemon that ended and was not yet collected by its parent is not running.
func TestZombieIsNotAlive(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, _, err := identifyProcess(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a zombie", func() bool { return !id.isAlive() })
	if _, zombie, err := identifyProcess(id.pid); err != nil || !zombie {
		t.Errorf("identifyProcess: zombie %v, %v", zombie, err)
	}
	_ = cmd.Wait()
}

func FuzzParseIdentity(f *testing.F) {
	f.Add("12 345 b0-0t\n")
	f.Add("12 345")
	f.Add("-1 2 x\n")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseIdentity(s)
		if err != nil {
			return
		}
		again, err := parseIdentity(id.String())
		if err != nil || again != id {
			t.Errorf("%q → %+v → %+v, %v", s, id, again, err)
		}
	})
}

func FuzzParseStat(f *testing.F) {
	own, _ := os.ReadFile("/proc/self/stat")
	f.Add(own)
	f.Add([]byte("7 (x) S"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, zombie, err := parseStat(b); err != nil && zombie {
			t.Error("an error and a zombie")
		}
	})
}
