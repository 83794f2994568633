package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// The n-th wait doubles with each try, with a jitter of a fifth, up to the longest.
func TestBackoff(t *testing.T) {
	const second = time.Second
	for _, test := range []struct {
		name             string
		initial, longest time.Duration
		n                int
		want             time.Duration
	}{
		{"the first", second, 10 * second, 1, second},
		{"the second", second, 10 * second, 2, 2 * second},
		{"the third", second, 10 * second, 3, 4 * second},
		{"the fourth", second, 10 * second, 4, 8 * second},
		{"the fifth is cut", second, 10 * second, 5, 10 * second},
		{"and so is the sixth", second, 10 * second, 6, 10 * second},
		{"the hundredth", second, 10 * second, 100, 10 * second},
		{"other bounds", 2 * second, 5 * time.Minute, 8, 256 * second},
		{"initial is the longest", second, second, 2, second},
	} {
		t.Run("RS-05 "+test.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 1))
			b := NewBackoff(test.initial, test.longest, r)
			for range test.n - 1 {
				b.NextWait()
			}
			low, high := test.want*8/10, min(test.want*12/10, test.longest)
			if got := b.NextWait(); got < low || got > high {
				t.Errorf("Next: %v, want %v to %v", got, low, high)
			}
			if got := nthBackoff(test.n, test.initial, test.longest, r); got < low || got > high {
				t.Errorf("nthBackoff: %v, want %v to %v", got, low, high)
			}
			b.Reset()
			if got := b.NextWait(); got > min(test.initial*12/10, test.longest) {
				t.Errorf("NextWait after Reset: %v, want about %v", got, test.initial)
			}
		})
	}
	t.Run("RS-05 far beyond any number of tries", func(t *testing.T) {
		if got := nthBackoff(1<<40, second, 10*second, rand.New(rand.NewPCG(1, 1))); got < 8*second || got > 10*second {
			t.Errorf("wait %v, want 8s to 10s", got)
		}
	})
}

func TestBackoffIsSpread(t *testing.T) { // RS-05: with jitter
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[nthBackoff(3, time.Second, time.Minute, r)] = true
	}
	if len(seen) < 90 {
		t.Errorf("RS-05: %d different waits of 100, want at least 90", len(seen))
	}
}

func TestWithin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, test := range []struct{ bound, most time.Duration }{
		{-time.Second, 1}, {0, 1}, {1, 1}, {time.Second, time.Second},
	} {
		t.Run(fmt.Sprint(test.bound), func(t *testing.T) {
			for range 1000 {
				if d := RandomWithin(test.bound, r); d < 0 || d >= test.most {
					t.Fatalf("RandomWithin(%v) = %v, want 0 to below %v", test.bound, d, test.most)
				}
			}
		})
	}
}
