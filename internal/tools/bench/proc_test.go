package main

import (
	"os"
	"testing"
	"time"
)

func TestParseRollup(t *testing.T) {
	const text = `55d0c0a00000-7ffd00000000 ---p 00000000 00:00 0                          [rollup]
Rss:               12345 kB
Pss:                6789 kB
Pss_Dirty:          1000 kB
`
	got, err := parseRollup([]byte(text))
	if want := (memory{rss: 12345 << 10, pss: 6789 << 10}); err != nil || got != want {
		t.Errorf("parseRollup = %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "Rss: 1 kB\n", "Rss: many kB\nPss: 1 kB\n", "Rss:\nPss:\n"} {
		if got, err := parseRollup([]byte(bad)); err == nil {
			t.Errorf("parseRollup(%q) = %+v and no error", bad, got)
		}
	}
}

func TestOwnUsage(t *testing.T) {
	m, err := readMemory(os.Getpid())
	if err != nil || m.pss <= 0 || m.rss < m.pss {
		t.Errorf("memoryOf(self) = %+v, %v", m, err)
	}
	before, slept, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; { // to use CPU
	}
	time.Sleep(time.Millisecond) // and to sleep
	after, sleptAfter, err := readUsage(os.Getpid())
	if err != nil || after <= before || sleptAfter < slept {
		t.Errorf("usage(self) went from %v, %d to %v, %d, %v", before, slept, after, sleptAfter, err)
	}
}
