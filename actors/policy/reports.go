package policy

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// Purpose says which periodic work a report completes, so that its answer moves
// the right timer (TM-02).
type Purpose uint8

// The purposes; a report may have several.
const (
	ForScan Purpose = 1 << iota
	ForPull
	ForChange Purpose = 0
)

// GatherFor is the time after a report in which changes of status are gathered, so
// that many of them are one request.
const GatherFor = 500 * time.Millisecond

// Reports holds, by plugin.Key, the last acknowledged and the pending status of
// each plugin. It decides the content of reports, and whether a lazy pull sends
// one. It adds each change to the batch, to be saved.
type Reports struct {
	acked   map[string]plugin.Acked
	pending map[string]plugin.PendingReport
	sent    map[uint64]*sentReport // by Gen: reports that may still be acknowledged
	seq     uint64
	batch   *Batch
	known   map[string]time.Time // by key: time of the last status in this process

	pullAcked bool     // a pull was acknowledged (PL-13, PL-18)
	pulled    []string // keys of the last acknowledged pull, sorted

	requested bool // a report is to be sent
	purpose   Purpose
	pull      []string        // keys of the pull that it contains
	lastSent  plugin.Moment   // when the last report was sent
	restarted map[string]bool // to be reported once more (SC-25)
}

// sentReport holds the content of a report that was sent.
type sentReport struct {
	carried   map[string]plugin.PendingReport
	own       Purpose
	inherited Purpose  // of reports that it replaced before they were acknowledged
	pulled    []string // keys of the pull that it contains, sorted
}

// NewReports returns the reports that an earlier process saved.
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

// SaveSettings fills in the durable settings about reports.
func (r *Reports) SaveSettings(to *plugin.Settings) {
	to.PullAcked, to.PulledKeys = r.pullAcked, r.pulled
}

// Add makes a plugin's status pending. It replaces the pending status of the
// plugin, but an undelivered tag stays (SC-17).
func (r *Reports) Add(now time.Time, p plugin.Plugin, status plugin.Status, tag plugin.SysTag) {
	o := plugin.PendingReport{Name: p.Name, Version: p.Version, Status: status, SysTag: tag, Since: now, ID: p.ID, Once: p.Type == plugin.Once}
	r.known[p.Key()] = now
	r.putPending(p.Key(), o)
}

// AddLate makes a status of o.Since pending that a command could not deliver. It
// returns false if a later status of the plugin is known: then only the tag is
// added to that one (CL-20).
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

// AddRemoved makes the pending status of a plugin REMOVED, because it is no longer
// installed. Unless it is still installed as another type, its acknowledged status
// becomes REMOVED, too: it may have been sent after the report of the program that
// removed the plugin (EV-22).
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

// toSave returns the part of a pending status that is saved: nothing, if the
// control plane has acknowledged the same version and status (SC-18).
func (r *Reports) toSave(key string, o plugin.PendingReport) *plugin.PendingReport {
	if o.SysTag == plugin.SysTagNone && r.acked[key] == (plugin.Acked{Version: o.Version, Status: o.Status}) {
		return nil
	}
	return &o
}

// MarkRestarted has a plugin reported once more after its restart was acknowledged
// (SC-25).
func (r *Reports) MarkRestarted(key string) { r.restarted[key] = true }

// TakeRefreshes returns the plugins whose restart has been acknowledged, once: they
// are reported again after the interval in the answer (SC-25).
func (r *Reports) TakeRefreshes() (keys []string) {
	for key := range r.restarted {
		if _, pending := r.pending[key]; !pending { // else after a later report
			delete(r.restarted, key)
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// RequestReport requests a report of all pending statuses. pulled are the plugins
// of a pull report.
func (r *Reports) RequestReport(p Purpose, pulled []string) {
	r.requested = true
	r.purpose |= p
	if pulled != nil {
		r.pull = pulled
	}
}

// IsDue reports whether a report is to be sent now, else after which time, 0 for
// none. Those of scans and pulls are sent at once; changes of single plugins soon
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

// IsRequested reports whether a report was requested and not sent yet.
func (r *Reports) IsRequested() bool { return r.requested }

// Compose returns the report of all pending statuses, Once plugins first, each in
// the order of the records (SC-05, SC-17). It inherits the purposes of reports
// that are not acknowledged.
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

// Acknowledge records that report gen was acknowledged. Statuses that became pending
// since stay pending (SC-17, PL-15). It returns the purpose of the report; ok is
// false for a report that is not awaited. each is called for each plugin in it.
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
		} else { // its inherited purpose is done
			later.inherited &^= p
		}
	}
	return p, true
}

// Discard forgets a report that will not be delivered: a newer one has replaced it
// (SC-17), or it was rejected and its content stays pending (SC-20).
func (r *Reports) Discard(gen uint64) { delete(r.sent, gen) }

// IsAwaiting reports whether a report is not answered yet.
func (r *Reports) IsAwaiting() bool { return len(r.sent) > 0 }

// Count returns the number of plugins with a pending status.
func (r *Reports) Count() int { return len(r.pending) }

// LastAcked returns the last acknowledged status of a plugin, and whether another
// one is pending.
func (r *Reports) LastAcked(key string) (a plugin.Acked, pending bool) {
	_, pending = r.pending[key]
	return r.acked[key], pending
}

// PullEntry is one plugin in a pull.
type PullEntry struct {
	Plugin plugin.Plugin
	Status plugin.Status
}

// AddPull makes the statuses of a pull pending and requests their report, unless it
// is lazy and nothing has changed: a pull was acknowledged before (PL-18), version
// and status of each plugin are the last acknowledged ones, no other status of it
// is pending, and no plugin is missing (PL-13, PL-14). It reports whether there is
// a report to send.
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

// ForgetRemoved deletes the acknowledged status of plugins that are no longer
// installed, unless another one is pending.
func (r *Reports) ForgetRemoved(installed func(key string) bool) {
	for key := range r.acked {
		if _, pending := r.pending[key]; !pending && !installed(key) {
			delete(r.acked, key)
			r.batch.setAcked(key, nil)
		}
	}
}

// OldestPending returns since when a status is pending; the zero time if none is.
func (r *Reports) OldestPending() (since time.Time) {
	for _, o := range r.pending {
		if since.IsZero() || o.Since.Before(since) {
			since = o.Since
		}
	}
	return since
}
