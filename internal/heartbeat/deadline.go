package heartbeat

import (
	"math"
	"time"

	"pluginsupervisor/plugin"
)

const (
	// burst is the minimum time between two reads after events, so that many
	// events of one plugin are reported as one heartbeat.
	burst = time.Second
	// minRetry is the first wait before a file without a date is read again:
	// mostly it was read after it was emptied and before it was written. The wait
	// doubles up to maxRetry.
	minRetry = 20 * time.Millisecond
	maxRetry = 100 * time.Millisecond
	// writeTimeout is the time after which a file without a date is reported if
	// it is written again and again. An unchanged file is reported after burst.
	writeTimeout = 30 * time.Second
	// longest is the longest interval and age, 73 years. It keeps sums from overflowing.
	longest = time.Duration(1) << 61
	// never is later than any instant.
	never = time.Duration(math.MaxInt64)
)

// beatDeadline holds the last heartbeat of one plugin and its deadline. It neither
// reads files nor waits: the watch loop passes it events, readings and the time,
// and asks for its next due time.
//
// The age of a heartbeat at its arrival is the wall time of the arrival minus the
// date in the file. From then on the age grows with the monotonic clock. A
// heartbeat is overdue when its age in whole seconds exceeds the interval plus 5 s
// (PL-08). So setting the wall clock later changes no deadline (EV-06), and a
// heartbeat that is too old at its arrival is lost at once.
type beatDeadline struct {
	beat    plugin.Heartbeat // the last one; not Found before the first
	content reading          // of the file with beat
	bornAt  time.Duration    // when the age of beat was 0, on the monotonic clock

	lastRead      instant       // when the file was last read
	notified      bool          // an event came after the last successful read
	lastEvent     time.Duration // when the last event came
	lost          bool          // the loss of beat was reported
	errorReported bool          // the missing date was reported

	unreadableSince time.Duration // when the file was first read without a date; never if it has one
	nextRead        time.Duration // when the file is read next
	quietUntil      time.Duration // before this time an event does not cause a read
	deadline        time.Duration // when beat is lost; never if it is lost already

	dir       *watchedDir
	nextWatch time.Duration // when the directory and the file are watched again

	wake  time.Duration // the earliest of the times above; the key of deadlineHeap
	index int           // in deadlineHeap
}

// newBeatDeadline returns a beatDeadline that is due at once: its directory is not
// watched and its file not read yet.
func newBeatDeadline(p plugin.Plugin, dir *watchedDir, now instant) *beatDeadline {
	return &beatDeadline{
		beat: plugin.Heartbeat{Plugin: p}, lastRead: now, unreadableSince: never,
		nextRead: never, deadline: never, dir: dir, nextWatch: now.mono,
	}
}

// due returns the next due time.
func (d *beatDeadline) due() time.Duration { return min(d.nextRead, d.deadline, d.nextWatch) }

// overdueAt returns the monotonic time when the last heartbeat becomes overdue. An
// age of exactly interval + 5 s in whole seconds is in time (PL-08).
func (d *beatDeadline) overdueAt() time.Duration {
	return d.bornAt + allowedAge(d.beat.Plugin) + time.Second
}

// noteEvent notes an event of the file and schedules a read.
func (d *beatDeadline) noteEvent(now instant) {
	d.notified, d.lastEvent = true, now.mono
	d.nextRead = min(d.nextRead, max(now.mono, d.quietUntil))
}

// missedEvent reports whether r holds a new heartbeat without an event for it.
func (d *beatDeadline) missedEvent(r reading) bool {
	return !d.notified && d.beat.Found && r.found && r.err == nil &&
		!(r.date.Equal(d.content.date) && r.modified.Equal(d.content.modified))
}

// update handles a reading of the file. It returns a heartbeat event, and whether
// to report it.
func (d *beatDeadline) update(now instant, r reading) (p plugin.HeartbeatEvent, report bool) {
	arrival := arrivalTime(r.modified, d.lastRead, now)
	d.nextRead, d.lastRead = never, now
	if d.notified {
		d.quietUntil = now.mono + burst
	}
	b := r.heartbeatAt(d.beat.Plugin, arrival.wall)
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

// acceptBeat handles a heartbeat that was found in the file. It returns its event,
// and whether to report it: if it is in time, and the date is new or the last
// heartbeat was lost. If it is overdue, expire reports the loss.
//
// Repeating the last date is not a heartbeat. The deadline then moves only if the
// wall clock was set back, so that the date is younger than before.
func (d *beatDeadline) acceptBeat(now, arrival instant, b plugin.Heartbeat, r reading) (p plugin.HeartbeatEvent, report bool) {
	newDate := !d.beat.Found || !b.Last.Equal(d.beat.Last)
	born := arrival.mono - ageOf(b, arrival.wall)
	if !newDate {
		born = max(born, d.bornAt)
	}
	d.beat, d.content, d.bornAt = b, r, born
	d.notified, d.errorReported, d.unreadableSince = false, false, never

	d.deadline = d.overdueAt()
	inTime := now.mono < d.deadline
	report = inTime && (newDate || d.lost)
	d.lost = d.lost && !inTime
	return plugin.HeartbeatEvent{Heartbeat: b, At: arrival.wall, Age: max(0, arrival.mono-born)}, report
}

// rejectReading handles a reading without a date. The file is read again for a
// while, because the plugin may be writing it. Then the error is reported once.
// Until the plugin writes a date it is neither healthy nor failed, as for a pull
// (PL-07, PL-10).
func (d *beatDeadline) rejectReading(now instant, b plugin.Heartbeat) (p plugin.HeartbeatEvent, report bool) {
	d.unreadableSince = min(d.unreadableSince, now.mono)
	unreadable := now.mono - d.unreadableSince
	unchanged := now.mono - max(d.unreadableSince, d.lastEvent)
	if !d.errorReported && unchanged < burst && unreadable < writeTimeout {
		d.nextRead = now.mono + min(max(unreadable, minRetry), maxRetry)
		return p, false
	}
	report = !d.errorReported
	d.reset()
	d.errorReported = true
	if b.HostFault { // no event reports that it can be read again
		d.nextRead = now.mono + retryEvery
	}
	return plugin.HeartbeatEvent{Heartbeat: b, At: now.wall}, report
}

// expire returns the event of a lost heartbeat if its deadline has passed, and
// whether to report it: only once.
func (d *beatDeadline) expire(now instant) (p plugin.HeartbeatEvent, report bool) {
	if now.mono < d.deadline {
		return p, false
	}
	if d.nextRead != never { // an event came: read the file first
		d.deadline = d.nextRead
		return p, false
	}
	report = !d.lost
	d.deadline, d.lost = never, true
	return plugin.HeartbeatEvent{Heartbeat: d.beat, At: now.wall, Age: now.mono - d.bornAt, Lost: true}, report
}

// reset clears the last heartbeat: the file was removed or has no date.
func (d *beatDeadline) reset() {
	d.beat, d.content = plugin.Heartbeat{Plugin: d.beat.Plugin}, reading{}
	d.deadline, d.unreadableSince = never, never
	d.notified, d.lost, d.errorReported = false, false, false
}

// allowedAge returns the maximum age of a heartbeat (PL-08).
func allowedAge(p plugin.Plugin) time.Duration {
	return max(0, min(p.HeartbeatInterval, longest)+plugin.HeartbeatGrace)
}
