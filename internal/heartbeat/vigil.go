package heartbeat

import (
	"math"
	"time"

	"pluginsupervisor/plugin"
)

const (
	// burst is how long after an arrival further ones only gather, to be told as one.
	burst = time.Second
	// settle is how soon a file that says nothing is read again: most often it
	// was caught between being emptied and being written. The wait doubles up to sluggish.
	settle   = 20 * time.Millisecond
	sluggish = 100 * time.Millisecond
	// patience is how long a file that is written all the time may say nothing;
	// one that is left alone is believed after burst.
	patience = 30 * time.Second
	// longest is the longest interval that is counted with, 73 years: with it nothing overflows.
	longest = time.Duration(1) << 61
	// never is later than anything.
	never = time.Duration(math.MaxInt64)
)

// moment is one instant on both clocks: deadlines are counted on the
// monotonic one, the dates that plugins write are of the other.
type moment struct {
	mono time.Duration // since watching began
	wall time.Time
}

// vigil waits for the beats of one plugin. It reads nothing and waits for
// nothing itself: it is told what came, what a look at the file showed and what
// time it is, and says when it wants to be attended to next.
//
// A beat is an arrival: something happened to the file, and what it says now
// is not what it said before. It is good for interval + 5 s from when it
// came, whatever its date, so a clock that was set makes nobody late. A file
// rewritten unchanged, or found without having been heard of, is worth what its
// date is worth (PL-08): a plugin whose last act repeats itself is not alive.
type vigil struct {
	beat    plugin.Beat   // the last one; not Found: none since the file is there
	arrival moment        // of the last event, if heard
	waited  time.Duration // how long that may have been in the queue
	heard   bool          // something happened since the file could last be read
	lost    bool          // was told
	mute    bool          // that the file says nothing was told

	bad      time.Duration // since when readings say nothing, never if the last did not
	look     time.Duration // when to read the file
	quiet    time.Duration // until when an arrival is no reason to read it
	deadline time.Duration // when the beat is lost

	in    *folder
	retry time.Duration // when to have it watched
	noisy bool          // it is not watched for a while: too much happened in it

	wake  time.Duration // the earliest of them, as agenda orders by it
	index int           // in agenda
}

// newVigil is due at once: its folder is not watched and its file not read yet.
func newVigil(p plugin.Plugin, in *folder) *vigil {
	return &vigil{beat: plugin.Beat{Plugin: p}, bad: never, look: never, deadline: never, in: in}
}

// due is when the vigil wants to be attended to.
func (v *vigil) due() time.Duration { return min(v.look, v.deadline, v.retry) }

// arrive takes note that something happened to the file, at most that long ago.
func (v *vigil) arrive(now moment, ago time.Duration) {
	v.heard, v.arrival, v.waited = true, now, ago
	v.look = min(v.look, max(now.mono, v.quiet))
}

// written tells when the file was, by the wall clock. If that can be when the
// last event came, it is.
func (v *vigil) written(at time.Time) {
	if ago := min(v.waited, v.arrival.wall.Sub(at)); ago > 0 && !at.IsZero() {
		v.arrival = moment{mono: v.arrival.mono - ago, wall: v.arrival.wall.Add(-ago)}
	}
	v.waited = 0
}

// unheard tells whether a look showed another beat than the last, of which no
// event has told.
func (v *vigil) unheard(b plugin.Beat) bool {
	return !v.heard && v.beat.Found && b.Found && b.Err == nil && !b.Last.Equal(v.beat.Last)
}

// see judges what a look at the file showed, and returns what there is to tell.
func (v *vigil) see(now moment, b plugin.Beat) (p plugin.Pulse, tell bool) {
	v.look = never
	if v.heard {
		v.quiet = now.mono + burst
	}
	switch {
	case b.Err != nil && (v.heard || !v.beat.Found):
		return v.seeNothing(now, b)
	case b.Err != nil: // nobody wrote: the clock was set back, and the date is ahead now
		return p, false
	case !b.Found:
		v.forget()
		return p, false
	}
	heard, came := v.heard, now
	if heard {
		came = v.arrival
	}
	v.heard, v.mute, v.bad = false, false, never

	left := untilFailed(b, now.wall)
	changed := !v.beat.Found || !b.Last.Equal(v.beat.Last)
	switch {
	case changed && heard:
		// Not before Status calls it failed: a date has whole seconds, and may
		// be a little ahead (PL-08, PL-09).
		v.deadline = max(came.mono+span(b.Plugin), now.mono+left)
	case changed || heard && left > 0:
		if v.deadline == never {
			v.deadline = now.mono
		}
		v.deadline = max(v.deadline, now.mono+left)
	}
	alive := heard && changed || (heard || changed) && left > 0
	tell = alive && (changed || v.lost)
	if alive || heard || !v.beat.Found { // else the event may be still to come, and must find it changed
		v.beat = b
	}
	v.lost = v.lost && !alive
	return plugin.Pulse{Beat: b, At: came.wall}, tell
}

// seeNothing judges a file that is there and says nothing. Once that is no
// accident it is told, a single time; until the plugin writes something else it
// is neither healthy nor failed, as for a pull (PL-07, PL-10).
func (v *vigil) seeNothing(now moment, b plugin.Beat) (p plugin.Pulse, tell bool) {
	v.bad = min(v.bad, now.mono)
	lasts, calm := now.mono-v.bad, now.mono-max(v.bad, v.arrival.mono)
	if !v.mute && calm < burst && lasts < patience {
		v.look = now.mono + min(max(lasts, settle), sluggish)
		return p, false
	}
	tell = !v.mute
	v.forget()
	v.mute = true
	return plugin.Pulse{Beat: b, At: now.wall}, tell
}

// expire tells that the beat is lost, once, if its deadline has passed.
func (v *vigil) expire(now moment) (p plugin.Pulse, tell bool) {
	if now.mono < v.deadline {
		return p, false
	}
	if v.look != never { // something came, and what it is will be known soon
		v.deadline = v.look
		return p, false
	}
	// The wall clock runs a little slower while it is being corrected.
	if left := untilFailed(v.beat, now.wall); 0 < left && left <= plugin.HeartbeatGrace {
		v.deadline = now.mono + left
		return p, false
	}
	tell = !v.lost
	v.deadline, v.lost = never, true
	return plugin.Pulse{Beat: v.beat, At: now.wall, Lost: true}, tell
}

// forget begins anew: there is no file, or none that says anything.
func (v *vigil) forget() {
	v.beat = plugin.Beat{Plugin: v.beat.Plugin}
	v.deadline, v.bad = never, never
	v.heard, v.lost, v.mute = false, false, false
}

// span is how long after a beat the next may come.
func span(p plugin.Plugin) time.Duration {
	return max(0, min(p.HeartbeatInterval, longest)+plugin.HeartbeatGrace)
}

// untilFailed is how long after wall Status first calls the beat failed; not
// positive if it does already.
func untilFailed(b plugin.Beat, wall time.Time) time.Duration {
	return time.Unix(b.Last.Unix()+int64(span(b.Plugin)/time.Second)+1, 0).Sub(wall)
}
