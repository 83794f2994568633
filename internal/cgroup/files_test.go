package cgroup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		text, key string
		want      uint64
		ok        bool
	}{
		{"populated 1\nfrozen 0\n", "populated", 1, true},
		{"populated 0\nfrozen 1\n", "populated", 0, true},
		{"frozen 0\n", "populated", 0, false},
		{"low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n", "oom_kill", 2, true},
		{"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", "oom_kill", 7, true},
		{"oom_kill_disable 0\nunder_oom 0\n", "oom_kill", 0, false},
		{"oom_kill many\n", "oom_kill", 0, false},
		{"", "oom_kill", 0, false},
	} {
		if got, ok := parseNumber(c.text, c.key); got != c.want || ok != c.ok {
			t.Errorf("%s of %q: %d %v, want %d %v", c.key, c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestPids(t *testing.T) {
	if diff := cmp.Diff([]int{12, 4194304}, parsePIDs("12\n0\n4194304\n-3\nx\n99999999999\n")); diff != "" {
		t.Error(diff)
	}
}

func FuzzNumber(f *testing.F) {
	f.Add("populated 1\nfrozen 0\n", "populated")
	f.Add("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", "oom_kill")
	f.Fuzz(func(t *testing.T, text, key string) {
		if n, ok := parseNumber(text, key); !ok && n != 0 && n != 1<<64-1 {
			t.Errorf("number %d without ok, want 0", n)
		}
		for _, pid := range parsePIDs(text) {
			if pid <= 0 {
				t.Errorf("pid %d, want positive numbers only", pid)
			}
		}
	})
}
