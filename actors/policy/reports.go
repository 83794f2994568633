package policy

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// Purpose says what work a report ends, so that its answer moves the right
// timer (TM-02).
type Purpose uint8

// The purposes; a report may have several.
const (
	ForScan Purpose = 1 << iota
	ForPull
	ForChange Purpose = 0
)

// GatherFor is how long changes of status are gathered after a report was
// sent, so that many of them are one request.
const GatherFor = 500 * time.Millisecond

// Reports holds what the control plane knows and what is pending for it: what
// it acknowledged last, by plugin.Key, and what it has not acknowledged yet. It
// decides what a report contains and what a lazy pull may leave out. Each
// change goes to the batch as well, to be saved.
type Reports struct {
	acked   map[string]plugin.Acked
	pending map[string]plugin.PendingReport
	sent    map[uint64]*sentReport // by Gen: reports that may still be acknowledged
	seq     uint64
	batch   *Batch
	known   map[string]time.Time // by key: when the last status was learnt in this process

	pullAcked bool     // a pull was acknowledged (PL-13, PL-18)
	pulled    []string // keys of the last one acknowledged, sorted

	requested bool // a report is to be sent
	purpose   Purpose
	pull      []string      // keys of the pull that it contains
	lastSent  plugin.Moment // when one was sent last
	restarted map[string]bool
}

// sentReport is what one report carried.
type sentReport struct {
	carried   map[string]plugin.PendingReport
	own       Purpose
	inherited Purpose  // of reports it replaced before they were acknowledged
	pulled    []string // keys of the pull it contains, sorted
}

// NewReports returns the reports that an earlier process left.
func NewReports(m plugin.Memory, batch *Batch) *Reports {
	r := &Reports{
		acked: map[string]plugin.Acked{}, pending: map[string]plugin.PendingReport{}, sent: map[uint64]*sentReport{},
		batch: batch, pullAcked: m.Settings.PullAcked, pulled: m.Settings.PulledKeys, restarted: map[string]bool{}, known: map[string]time.Time{},
	}
	maps.Copy(r.acked, m.Acked)
	for key, o := range m.Pending {
		r.seq++
		o.Seq = r.seq
		r.pending[key] = o
	}
	return r
}

// SaveSettings fills in what has to survive the process.
func (r *Reports) SaveSettings(to *plugin.Settings) {
	to.PullAcked, to.PulledKeys = r.pullAcked, r.pulled
}

// Add makes a plugin's status pending. It replaces what was pending of it
// before, but a tag that was not delivered yet stays (SC-17).
func (r *Reports) Add(now time.Time, p plugin.Plugin, status plugin.Status, tag plugin.SysTag) {
	o := plugin.PendingReport{Name: p.Name, Version: p.Version, Status: status, SysTag: tag, Since: now, ID: p.ID, Once: p.Type == plugin.Once}
	r.known[p.Key()] = now
	r.putPending(p.Key(), o)
}

// AddLate makes a status pending that a command has found at o.Since and could not
// deliver. It reports false where something later is known of the plugin: then
// only the tag is delivered, with that (CL-20).
func (r *Reports) AddLate(key string, o plugin.PendingReport) bool {
	if !r.known[key].After(o.Since) {
		r.known[key] = o.Since
		r.putPending(key, o)
		return true
	}
	later, pending := r.pending[key]
	if !pending {
		acked := r.acked[key]
		later = o
		later.Version, later.Status, later.SysTag = acked.Version, acked.Status, plugin.SysTagNone
	}
	if o.SysTag == plugin.SysTagNone || later.SysTag != plugin.SysTagNone || later.Status == plugin.StatusUnknown {
		return false
	}
	later.SysTag = o.SysTag
	r.putPending(key, later)
	return false
}

func (r *Reports) putPending(key string, o plugin.PendingReport) {
	before, was := r.pending[key]
	if o.SysTag == plugin.SysTagNone {
		o.SysTag = before.SysTag
	}
	if was && before.Version == o.Version && before.Status == o.Status {
		o.Since = before.Since
	}
	r.seq++
	o.Seq = r.seq
	r.pending[key] = o
	r.batch.setPending(key, r.toSave(key, o), was)
}

// AddRemoved notes that a plugin is no longer installed: what is pending of it becomes
// REMOVED. Unless it is still installed as another type, so does what the control
// plane acknowledged last, as that may have come after the report of the program
// that removed it (EV-22).
func (r *Reports) AddRemoved(key string, p plugin.Plugin, still bool, now time.Time) {
	delete(r.restarted, key)
	o, pending := r.pending[key]
	if acked, known := r.acked[key]; known && !pending && !still && !p.Duplicate {
		o = plugin.PendingReport{Name: p.Name, Version: acked.Version, Status: acked.Status, ID: p.ID, Once: p.Type == plugin.Once}
	}
	if o.Name != "" && o.Status != plugin.StatusRemoved {
		o.Status, o.Since = plugin.StatusRemoved, now
		r.known[key] = now
		r.putPending(key, o)
		r.RequestReport(ForChange, nil)
	}
}

// toSave returns what has to survive of something pending: nothing, if the
// control plane has acknowledged the very same before (SC-18).
func (r *Reports) toSave(key string, o plugin.PendingReport) *plugin.PendingReport {
	if o.SysTag == plugin.SysTagNone && r.acked[key] == (plugin.Acked{Version: o.Version, Status: o.Status}) {
		return nil
	}
	return &o
}

// MarkRestarted has a plugin reported once more some time after its restart was
// acknowledged (SC-25).
func (r *Reports) MarkRestarted(key string) { r.restarted[key] = true }

// TakeRefreshes returns the plugins whose restart has been acknowledged: they are
// to be reported again after the interval that the answer named (SC-25).
func (r *Reports) TakeRefreshes() (keys []string) {
	for key := range r.restarted {
		if _, pending := r.pending[key]; !pending { // else a later report will tell
			delete(r.restarted, key)
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// RequestReport asks for a report of all that is pending. pulled are the plugins of a
// pull report.
func (r *Reports) RequestReport(p Purpose, pulled []string) {
	r.requested = true
	r.purpose |= p
	if pulled != nil {
		r.pull = pulled
	}
}

// IsDue reports whether a report is to be sent at once, or after which time.
// A scan's and a pull's go at once; changes of single plugins that come soon
// after a report are gathered.
func (r *Reports) IsDue(now plugin.Moment) (send bool, after time.Duration) {
	if !r.requested || len(r.pending) == 0 {
		r.requested, r.purpose, r.pull = false, 0, nil
		return false, 0
	}
	if since := now.Sub(r.lastSent); r.purpose == ForChange && !r.lastSent.IsZero() && since < GatherFor {
		return false, GatherFor - since
	}
	return true, 0
}

// IsRequested reports whether a report was asked for and not sent yet.
func (r *Reports) IsRequested() bool { return r.requested }

// Compose returns the report of everything pending, Once plugins first, each
// in the order of the records (SC-05, SC-17). What the reports before it were
// for is now this one's too.
func (r *Reports) Compose(gen uint64, now plugin.Moment) plugin.Report {
	s := &sentReport{carried: maps.Clone(r.pending), own: r.purpose, pulled: r.pull}
	r.requested, r.purpose, r.pull, r.lastSent = false, 0, nil, now
	for _, earlier := range r.sent {
		s.inherited |= earlier.own | earlier.inherited
		if s.pulled == nil {
			s.pulled = earlier.pulled
		}
	}
	r.sent[gen] = s
	all := slices.SortedFunc(maps.Values(r.pending), func(a, b plugin.PendingReport) int {
		if a.Once != b.Once {
			if a.Once {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
	})
	report := plugin.Report{Entries: make([]plugin.ReportEntry, len(all))}
	for i, o := range all {
		report.Entries[i] = plugin.ReportEntry{Name: o.Name, Version: o.Version, Status: o.Status, SysTag: o.SysTag}
	}
	return report
}

// Acknowledge settles what report gen carried: the control plane knows it now,
// and what became pending since stays so (SC-17, PL-15). It returns what the
// report was for; ok is false for one that is not awaited. each is called for
// each plugin that it carried.
func (r *Reports) Acknowledge(gen uint64, each func(key string, o plugin.PendingReport)) (p Purpose, ok bool) {
	s, ok := r.sent[gen]
	if !ok {
		return ForChange, false
	}
	for _, key := range slices.Sorted(maps.Keys(s.carried)) {
		o := s.carried[key]
		a := plugin.Acked{Version: o.Version, Status: o.Status}
		if r.acked[key] != a {
			r.acked[key] = a
			r.batch.setAcked(key, &a)
		}
		if now, still := r.pending[key]; still && now.Seq == o.Seq {
			delete(r.pending, key)
			r.batch.setPending(key, nil, true)
		}
		each(key, o)
	}
	p = s.own | s.inherited
	if p&ForPull != 0 {
		r.pullAcked, r.pulled = true, s.pulled
		r.batch.SetSettings()
	}
	for other, later := range r.sent {
		if other <= gen { // replaced by this one
			delete(r.sent, other)
		} else { // it no longer stands in for this one
			later.inherited &^= p
		}
	}
	return p, true
}

// Discard settles a report that will not be delivered: a newer one has taken its
// place and its purpose (SC-17), or it was refused and all in it stays pending
// (SC-20).
func (r *Reports) Discard(gen uint64) { delete(r.sent, gen) }

// IsAwaiting reports whether a report is under way.
func (r *Reports) IsAwaiting() bool { return len(r.sent) > 0 }

// Count returns how many plugins have something pending.
func (r *Reports) Count() int { return len(r.pending) }

// LastAcked returns what the control plane acknowledged last of a plugin, and
// whether something is pending of it.
func (r *Reports) LastAcked(key string) (a plugin.Acked, pending bool) {
	_, pending = r.pending[key]
	return r.acked[key], pending
}

// PullEntry is one plugin in a pull.
type PullEntry struct {
	Plugin plugin.Plugin
	Status plugin.Status
}

// AddPull makes the statuses of a pull pending and asks for their report,
// unless it is lazy and has no news: a pull was acknowledged before (PL-18),
// version and status of each plugin are what was acknowledged of it in any
// report, nothing else is pending of it, and no plugin is missing (PL-13,
// PL-14). It reports whether there is anything to send.
func (r *Reports) AddPull(now time.Time, entries []PullEntry, lazy bool) bool {
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		keys = append(keys, e.Plugin.Key())
	}
	slices.Sort(keys)
	if lazy && r.pullAcked && slices.Equal(keys, r.pulled) && !slices.ContainsFunc(entries, r.hasChanged) {
		return false
	}
	for _, e := range entries {
		r.Add(now, e.Plugin, e.Status, plugin.SysTagNone)
	}
	r.RequestReport(ForPull, keys)
	return true
}

func (r *Reports) hasChanged(e PullEntry) bool {
	key := e.Plugin.Key()
	if r.acked[key] != (plugin.Acked{Version: e.Plugin.Version, Status: e.Status}) {
		return true
	}
	o, ok := r.pending[key]
	return ok && (o.Version != e.Plugin.Version || o.Status != e.Status)
}

// ForgetRemoved drops the memory of plugins that are no longer installed. What is
// pending of them stays until it was delivered.
func (r *Reports) ForgetRemoved(installed func(key string) bool) {
	for key := range r.acked {
		if _, pending := r.pending[key]; !pending && !installed(key) {
			delete(r.acked, key)
			r.batch.setAcked(key, nil)
		}
	}
}

// OldestPending returns since when something is pending; the zero time if nothing is.
func (r *Reports) OldestPending() (since time.Time) {
	for _, o := range r.pending {
		if since.IsZero() || o.Since.Before(since) {
			since = o.Since
		}
	}
	return since
}
