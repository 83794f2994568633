package pause

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Sleep(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("waited %s, %v", time.Since(began), err)
		}
		began = time.Now()
		why := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		if err := Sleep(ctx, time.Hour); !errors.Is(err, why) || time.Since(began) != time.Minute {
			t.Errorf("canceled after a minute: waited %s, error %v, want %v", time.Since(began), err, why)
		}
	})
}

func TestDoubling(t *testing.T) {
	const ms = time.Millisecond
	d := NewDoubling(5*ms, 30*ms)
	want := []time.Duration{5 * ms, 10 * ms, 20 * ms, 30 * ms, 30 * ms}
	for _, series := range []string{"first", "after Reset"} {
		var got []time.Duration
		for range want {
			got = append(got, d.Next())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", series, got, want)
		}
		d.Reset()
	}
	synctest.Test(t, func(t *testing.T) {
		d, began := NewDoubling(ms, time.Second), time.Now()
		for range 3 {
			if err := d.Sleep(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if waited := time.Since(began); waited != 7*ms {
			t.Errorf("three pauses took %s", waited)
		}
	})
}
