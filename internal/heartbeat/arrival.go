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

// ageOf returns the age of the heartbeat at a wall time. Its date has whole
// seconds. The age of a date at most 5 s ahead is 0; a date further ahead was
// replaced when the file was read (PL-09).
func ageOf(b plugin.Heartbeat, wall time.Time) time.Duration {
	return min(max(0, wall.Sub(b.Last.Truncate(time.Second))), longest)
}

// arrivalTime returns the time when a file that was modified between two reads was
// written, from the file's modification time.
//
// If the wall clock was set between the reads, it is unknown whether that was
// before or after the write. The modification time is still the wall time of the
// write, like the date in the file. The monotonic time is then that of the second
// read, because setting the clock must not make a plugin late (EV-06). A
// modification time that fits neither the old nor the new clock is ignored: a
// program set it, or the file system has its own clock.
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
