package policy

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	near := func(got, want, most time.Duration) {
		t.Helper()
		if got < want*8/10 || got > min(want*12/10, most) {
			t.Errorf("%v, want about %v and at most %v", got, want, most)
		}
	}
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second}
	b := NewBackoff(time.Second, 10*time.Second, r)
	for i, d := range want {
		near(b.Next(), d, 10*time.Second)
		near(nthBackoff(i+1, time.Second, 10*time.Second, r), d, 10*time.Second) // RS-05
	}
	b.Reset()
	near(b.Next(), time.Second, 10*time.Second)
	near(nthBackoff(1<<40, time.Second, 10*time.Second, r), 10*time.Second, 10*time.Second) // RS-05: never given up
	if d := Within(0, r) + Within(-time.Second, r); d != 0 {
		t.Errorf("within nothing: %v", d)
	}
	for range 1000 {
		if d := Within(time.Second, r); d < 0 || d >= time.Second {
			t.Fatalf("within a second: %v", d)
		}
	}
}

func TestBackoffIsSpread(t *testing.T) { // RS-05: with jitter
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[nthBackoff(3, time.Second, time.Minute, r)] = true
	}
	if len(seen) < 90 {
		t.Errorf("RS-05: %d different waits of 100", len(seen))
	}
}
