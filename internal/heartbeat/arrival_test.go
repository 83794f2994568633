package heartbeat

import (
	"testing"
	"time"
)

// EV-06: the modification time is the arrival, also if the clock was set.
func TestArrivalTime(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for _, tc := range []struct {
		name     string
		set      time.Duration // the wall clock, between two reads 60 s apart
		modified time.Duration // by the clock of the first read
		mono     time.Duration
		ignored  bool // modified is not used
	}{
		{name: "EV-06 not set", modified: 20 * time.Second, mono: 20 * time.Second},
		{name: "EV-06 set forward after the arrival", set: time.Hour, modified: 20 * time.Second, mono: time.Minute},
		{name: "EV-06 set forward before the arrival", set: time.Hour, modified: time.Hour + 20*time.Second, mono: time.Minute},
		{name: "EV-06 set back after the arrival", set: -time.Hour, modified: 20 * time.Second, mono: time.Minute},
		{name: "EV-06 set back before the arrival", set: -time.Hour, modified: -time.Hour + 20*time.Second, mono: time.Minute},
		{name: "EV-06 a time of long ago", modified: -time.Hour, mono: time.Minute, ignored: true},
		{name: "EV-06 a time ahead", modified: time.Hour, mono: time.Minute, ignored: true},
		{name: "EV-06 a time of long ago, set back", set: -time.Hour, modified: -2 * time.Hour, mono: time.Minute, ignored: true},
		{name: "EV-06 a time ahead, set forward", set: time.Hour, modified: 2 * time.Hour, mono: time.Minute, ignored: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			second := instant{mono: time.Minute, wall: start.Add(time.Minute + tc.set)}
			want := instant{mono: tc.mono, wall: start.Add(tc.modified)}
			if tc.ignored {
				want = second
			}
			if got := arrivalTime(start.Add(tc.modified), instant{wall: start}, second); got != want {
				t.Errorf("arrival %v, want %v", got, want)
			}
		})
	}
}
