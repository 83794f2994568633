package procfs

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const statLine = "4242 (a (b) c) S 1 %d 4240 0 -1 4194560 2 0 0 0 1 2 0 0 20 0 %d 0 123456 1024 7 18446744073709551615"

func TestParseStat(t *testing.T) {
	line := fmt.Sprintf(statLine, 4240, 3)
	got, err := ParseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	want := Stat{State: 'S', Parent: 1, Group: 4240, Session: 4240, Threads: 3, Born: 123456}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"", "4242 (a", "4242 (a) S 1 2", "4242 (a) " + strings.Repeat("x ", 30),
		strings.Replace(line, " 123456 ", " -1 ", 1), strings.Replace(line, " 3 0 ", " many 0 ", 1),
	} {
		if got, err := ParseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	self, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(self)
	f.Add(fmt.Appendf(nil, statLine, 1, 1))
	f.Add([]byte(") ) Z 0 0"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := ParseStat(line)
		if err != nil {
			return
		}
		// The name must not change the result.
		rest := line[bytes.LastIndexByte(line, ')')+1:]
		renamed, err := ParseStat(append([]byte("1 (x) Z 1 1) "), rest...))
		if err != nil || renamed != s {
			t.Errorf("%+v became %+v, %v", s, renamed, err)
		}
	})
}

// Zombies do not count (SPEC 11), unless only the first thread has exited.
func TestStatLive(t *testing.T) {
	for s, want := range map[Stat]bool{
		{State: 'R', Threads: 1}: true, {State: 'S', Threads: 1}: true, {State: 'D', Threads: 1}: true, {State: 'T', Threads: 1}: true,
		{State: 'Z', Threads: 1}: false, {State: 'X'}: false, {State: 'Z', Threads: 2}: true,
	} {
		if s.Live() != want {
			t.Errorf("%c with %d Threads: %t", s.State, s.Threads, !want)
		}
	}
}

// The state, environment and start time of the own process.
func TestOwnProcess(t *testing.T) {
	pids, err := PIDs()
	if err != nil || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("%v, %v", pids, err)
	}
	s, err := ReadStat(os.Getpid())
	if err != nil || !s.Live() || s.Parent != os.Getppid() || s.Born == 0 || s.Born > BootTicks() {
		t.Errorf("%+v, %v", s, err)
	}
	if path, ok := Variable(os.Getpid(), "PATH"); !ok || path != os.Getenv("PATH") {
		t.Errorf("PATH is %q, %t", path, ok)
	}
	if v, ok := Variable(os.Getpid(), "PAT"); ok {
		t.Errorf("an unset variable is %q", v)
	}
	if boot, err := BootID(); err != nil || len(boot) != 36 {
		t.Errorf("boot %q, %v", boot, err)
	}
}
