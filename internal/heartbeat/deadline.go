package heartbeat

import (
	"math"
	"time"

	"pluginsupervisor/plugin"
)

const (
	// burst is how long after an event the next read waits, so that many events
	// of one plugin are reported as one beat.
	burst = time.Second
	// minRetry is the first wait before a file without a date is read again:
	// most often it was read between being emptied and being written. The wait
	// doubles up to maxRetry.
	minRetry = 20 * time.Millisecond
	maxRetry = 100 * time.Millisecond
	// writeTimeout is how long a file that is written all the time may have no
	// date before this is reported. A file that is left alone is reported after burst.
	writeTimeout = 30 * time.Second
	// longest is the longest interval and age, 73 years. It keeps sums from overflowing.
	longest = time.Duration(1) << 61
	// never is later than any instant.
	never = time.Duration(math.MaxInt64)
)

// beatDeadline holds the last beat of one plugin and its deadline. It does not
// read files and does not wait: the watch loop passes it events, readings and
// the time, and asks when it is due next.
//
// The age of a beat when it arrives is the wall time of its arrival minus the
// date in the file. From then on the age grows with the monotonic clock. A beat
// is overdue when its age, in whole seconds, is more than the interval and 5 s
// (PL-08). So a wall clock that is set after a beat arrived changes no deadline
// (EV-06), and a beat that is too old when it arrives is lost at once.
type beatDeadline struct {
	beat    plugin.Heartbeat // the last one; not Found before the first
	content reading          // what the file held then
	born    time.Duration    // when the age of beat was 0, on the monotonic clock

	lastRead  instant       // when the file was last read
	notified  bool          // an event came after the file was last read with success
	lastEvent time.Duration // when the last event came
	lost      bool          // the loss of beat was reported
	muted     bool          // that the file has no date was reported

	unreadableSince time.Duration // when the file was first read without a date; never if it has one
	nextRead        time.Duration // when the file is read next
	quietUntil      time.Duration // before this time an event does not cause a read
	deadline        time.Duration // when the beat is lost; never if it is lost already

	dir       *watchedDir
	nextWatch time.Duration // when the directory and the file are watched anew

	wake  time.Duration // the earliest of the times above; the key of deadlineHeap
	index int           // in deadlineHeap
}

// newBeatDeadline returns a beatDeadline that is due at once, as its directory
// is not watched and its file not read yet.
func newBeatDeadline(p plugin.Plugin, dir *watchedDir, now instant) *beatDeadline {
	return &beatDeadline{
		beat: plugin.Heartbeat{Plugin: p}, lastRead: now, unreadableSince: never,
		nextRead: never, deadline: never, dir: dir, nextWatch: now.mono,
	}
}

// due returns when something is to be done next.
func (d *beatDeadline) due() time.Duration { return min(d.nextRead, d.deadline, d.nextWatch) }

// overdueAt returns when the last beat becomes overdue, on the monotonic clock.
// An age that is exactly interval + 5 s in whole seconds is in time (PL-08).
func (d *beatDeadline) overdueAt() time.Duration {
	return d.born + allowedAge(d.beat.Plugin) + time.Second
}

// noteEvent notes that something happened to the file.
func (d *beatDeadline) noteEvent(now instant) {
	d.notified, d.lastEvent = true, now.mono
	d.nextRead = min(d.nextRead, max(now.mono, d.quietUntil))
}

// missedEvent reports whether r holds another beat than the last, and no event
// announced it.
func (d *beatDeadline) missedEvent(r reading) bool {
	return !d.notified && d.beat.Found && r.found && r.err == nil &&
		!(r.date.Equal(d.content.date) && r.modified.Equal(d.content.modified))
}

// update takes a reading of the file. It returns a pulse, and whether to report it.
func (d *beatDeadline) update(now instant, r reading) (p plugin.HeartbeatEvent, report bool) {
	arrival := arrivalTime(r.modified, d.lastRead, now)
	d.nextRead, d.lastRead = never, now
	if d.notified {
		d.quietUntil = now.mono + burst
	}
	b := r.beat(d.beat.Plugin, arrival.wall)
	switch {
	case d.beat.Found && r.equal(d.content):
		d.notified, d.unreadableSince = false, never
		return p, false
	case b.Err != nil:
		return d.rejectReading(now, b)
	case !b.Found:
		d.reset()
		return p, false
	default:
		return d.acceptBeat(now, arrival, b, r)
	}
}

// acceptBeat takes a beat that was found in the file. It returns the pulse of a
// beat that is in time, and whether to report it: when the date is new or the
// last beat was lost. For one that is overdue, expire reports the loss.
//
// A plugin that repeats its last date is not alive. Its deadline moves only if
// the wall clock was set back, so that the date is younger than it was.
func (d *beatDeadline) acceptBeat(now, arrival instant, b plugin.Heartbeat, r reading) (p plugin.HeartbeatEvent, report bool) {
	newDate := !d.beat.Found || !b.Last.Equal(d.beat.Last)
	born := arrival.mono - ageOf(b, arrival.wall)
	if !newDate {
		born = max(born, d.born)
	}
	d.beat, d.content, d.born = b, r, born
	d.notified, d.muted, d.unreadableSince = false, false, never

	d.deadline = d.overdueAt()
	inTime := now.mono < d.deadline
	report = inTime && (newDate || d.lost)
	d.lost = d.lost && !inTime
	return plugin.HeartbeatEvent{Heartbeat: b, At: arrival.wall, Age: max(0, arrival.mono-born)}, report
}

// rejectReading takes a reading without a date. The file is read again for a
// while, as the plugin may be writing it. Then the pulse with the error is
// reported once. Until the plugin writes a date it is neither healthy nor
// failed, as for a pull (PL-07, PL-10).
func (d *beatDeadline) rejectReading(now instant, b plugin.Heartbeat) (p plugin.HeartbeatEvent, report bool) {
	d.unreadableSince = min(d.unreadableSince, now.mono)
	unreadable := now.mono - d.unreadableSince
	unchanged := now.mono - max(d.unreadableSince, d.lastEvent)
	if !d.muted && unchanged < burst && unreadable < writeTimeout {
		d.nextRead = now.mono + min(max(unreadable, minRetry), maxRetry)
		return p, false
	}
	report = !d.muted
	d.reset()
	d.muted = true
	if b.HostFault { // no event will tell that it can be read again
		d.nextRead = now.mono + retryEvery
	}
	return plugin.HeartbeatEvent{Heartbeat: b, At: now.wall}, report
}

// expire returns the pulse of a lost beat if its deadline passed, and whether to
// report it: only once.
func (d *beatDeadline) expire(now instant) (p plugin.HeartbeatEvent, report bool) {
	if now.mono < d.deadline {
		return p, false
	}
	if d.nextRead != never { // an event came; the file decides
		d.deadline = d.nextRead
		return p, false
	}
	report = !d.lost
	d.deadline, d.lost = never, true
	return plugin.HeartbeatEvent{Heartbeat: d.beat, At: now.wall, Age: now.mono - d.born, Lost: true}, report
}

// reset forgets the last beat: the file is gone or has no date.
func (d *beatDeadline) reset() {
	d.beat, d.content = plugin.Heartbeat{Plugin: d.beat.Plugin}, reading{}
	d.deadline, d.unreadableSince = never, never
	d.notified, d.lost, d.muted = false, false, false
}

// allowedAge returns how old a beat may be (PL-08).
func allowedAge(p plugin.Plugin) time.Duration {
	return max(0, min(p.HeartbeatInterval, longest)+plugin.HeartbeatGrace)
}
