package heartbeat

import (
	"time"

	"pluginsupervisor/plugin"
)

// minClockStep is the smallest change of the wall clock that counts as a step.
const minClockStep = 10 * time.Millisecond

// instant is one point in time on both clocks. Deadlines are on the monotonic
// clock, the dates in heartbeat files are on the wall clock.
type instant struct {
	mono time.Duration // since the watch loop began
	wall time.Time
}

// ageOf returns how old the beat is at a wall time by its date, which has whole
// seconds. A date that is ahead by at most 5 s is 0 old; one further ahead was
// replaced when the file was read (PL-09).
func ageOf(b plugin.Heartbeat, wall time.Time) time.Duration {
	return min(max(0, wall.Sub(b.Last.Truncate(time.Second))), longest)
}

// arrivalTime returns when the content of a file arrived that was modified
// between two reads, by the file's own record of the wall time.
//
// If the wall clock was set between the reads, nothing tells whether that was
// before or after the arrival. The file's record still has the wall time of the
// arrival, as the date has it. Its monotonic time is then taken as that of the
// second read, as a clock that is set must make no plugin late (EV-06). A record
// that fits neither the old nor the new clock is ignored: a program set it, or
// the file system has a clock of its own.
func arrivalTime(modified time.Time, first, second instant) instant {
	elapsed := second.mono - first.mono
	clockSet := second.wall.Sub(first.wall) - elapsed
	earliest, latest := first.wall.Add(min(0, clockSet)), second.wall.Add(max(0, -clockSet))
	switch {
	case modified.Before(earliest) || modified.After(latest):
		return second
	case clockSet.Abs() < minClockStep:
		return instant{mono: max(first.mono, second.mono-second.wall.Sub(modified)), wall: modified}
	default:
		return instant{mono: second.mono, wall: modified}
	}
}
