package actors

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"pluginsupervisor/plugin"
)

// purpose says what work a report ends, so that its answer moves the right
// timer (TM-02).
type purpose uint8

const (
	purposeScan purpose = 1 << iota
	purposePull
	purposeOther purpose = 0
)

// ledger is what the control plane knows and still has to be told: what it
// acknowledged last and what is owed, by plugin.Key. It decides what a report
// contains and what a lazy pull may leave out. Every change goes to the
// changes as well, to be saved.
type ledger struct {
	acked  map[string]plugin.Acked
	owed   map[string]plugin.Owed
	sent   map[uint64]*sent // by Gen: reports that may still be acknowledged
	seq    uint64
	saving *changes

	pullAcked bool     // a pull was acknowledged (PL-13, PL-18)
	pulled    []string // keys of the last one acknowledged, sorted
}

// sent is what one report carried.
type sent struct {
	carried   map[string]plugin.Owed
	own       purpose
	inherited purpose  // of reports it replaced before they were acknowledged
	pulled    []string // keys of the pull it contains, sorted
}

func newLedger(m plugin.Memory, saving *changes) *ledger {
	l := &ledger{
		acked: map[string]plugin.Acked{}, owed: map[string]plugin.Owed{}, sent: map[uint64]*sent{},
		saving: saving, pullAcked: m.Settings.PullAcked, pulled: m.Settings.Pulled,
	}
	for key, a := range m.Acked {
		l.acked[key] = a
	}
	for key, o := range m.Owed {
		l.seq++
		o.Seq = l.seq
		l.owed[key] = o
	}
	return l
}

// owe notes that a plugin's status has to be told; it replaces what was owed
// of it before, but a tag that was not told yet stays (SC-17).
func (l *ledger) owe(now time.Time, p plugin.Plugin, status plugin.Status, tag plugin.SysTag) {
	key := p.Key()
	before, was := l.owed[key]
	if tag == plugin.SysTagNone {
		tag = before.SysTag
	}
	l.seq++
	o := plugin.Owed{
		Name: p.Name, Version: p.Version, Status: status, SysTag: tag,
		Since: now, ID: p.ID, Once: p.Type == plugin.Once, Seq: l.seq,
	}
	if was && before.Version == o.Version && before.Status == o.Status {
		o.Since = before.Since
	}
	l.owed[key] = o
	l.saving.owed(key, l.durable(key, o), was)
}

// durable is what has to survive of something owed: nothing, if the control
// plane has acknowledged the very same before (SC-18).
func (l *ledger) durable(key string, o plugin.Owed) *plugin.Owed {
	if o.SysTag == plugin.SysTagNone && l.acked[key] == (plugin.Acked{Version: o.Version, Status: o.Status}) {
		return nil
	}
	return &o
}

// compose is the report of everything owed, Once plugins first, each in the
// order of the records (SC-05, SC-17). What the reports before it were for is
// now this one's too.
func (l *ledger) compose(gen uint64, own purpose, pulled []string) plugin.Report {
	s := &sent{carried: make(map[string]plugin.Owed, len(l.owed)), own: own, pulled: pulled}
	for _, earlier := range l.sent {
		s.inherited |= earlier.own | earlier.inherited
		if s.pulled == nil {
			s.pulled = earlier.pulled
		}
	}
	all := make([]plugin.Owed, 0, len(l.owed))
	for key, o := range l.owed {
		s.carried[key] = o
		all = append(all, o)
	}
	l.sent[gen] = s
	slices.SortFunc(all, func(a, b plugin.Owed) int {
		if a.Once != b.Once {
			if a.Once {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
	})
	r := plugin.Report{Entries: make([]plugin.ReportEntry, len(all))}
	for i, o := range all {
		r.Entries[i] = plugin.ReportEntry{Name: o.Name, Version: o.Version, Status: o.Status, SysTag: o.SysTag}
	}
	return r
}

// acknowledge settles what report gen carried: the control plane knows it now,
// and what is owed since then stays owed (SC-17, PL-15). It tells what the
// report was for; ok is false for one that is not awaited. told is called for
// each plugin it carried.
func (l *ledger) acknowledge(gen uint64, told func(key string, o plugin.Owed)) (p purpose, ok bool) {
	s, ok := l.sent[gen]
	if !ok {
		return purposeOther, false
	}
	for _, key := range slices.Sorted(maps.Keys(s.carried)) {
		o := s.carried[key]
		a := plugin.Acked{Version: o.Version, Status: o.Status}
		if l.acked[key] != a {
			l.acked[key] = a
			l.saving.acked(key, &a)
		}
		if now, still := l.owed[key]; still && now.Seq == o.Seq {
			delete(l.owed, key)
			l.saving.owed(key, nil, true)
		}
		told(key, o)
	}
	p = s.own | s.inherited
	if p&purposePull != 0 {
		l.pullAcked, l.pulled = true, s.pulled
		l.saving.settings()
	}
	// Older ones are replaced, newer ones no longer stand in for this one.
	for other, later := range l.sent {
		switch {
		case other <= gen:
			delete(l.sent, other)
		default:
			later.inherited &^= p
		}
	}
	return p, true
}

// replaced settles a report that a newer one took the place of: that one has
// inherited what it was for.
func (l *ledger) replaced(gen uint64) { delete(l.sent, gen) }

// refused settles a report that will not be tried again: everything in it
// stays owed, its purpose is not fulfilled (SC-20).
func (l *ledger) refused(gen uint64) { delete(l.sent, gen) }

// awaiting tells whether a report is under way.
func (l *ledger) awaiting() bool { return len(l.sent) > 0 }

// pullIsNews decides a lazy pull: it is reported when no pull was acknowledged
// yet (PL-18), when the version or status of a plugin differs from what was
// acknowledged for it in any report (PL-13, PL-14) or from what is owed of it,
// or when a plugin is no longer among them.
func (l *ledger) pullIsNews(entries []pullEntry) bool {
	if !l.pullAcked {
		return true
	}
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		key := e.plugin.Key()
		keys = append(keys, key)
		if l.acked[key] != (plugin.Acked{Version: e.plugin.Version, Status: e.status}) {
			return true
		}
		if o, ok := l.owed[key]; ok && (o.Version != e.plugin.Version || o.Status != e.status) {
			return true
		}
	}
	slices.Sort(keys)
	return !slices.Equal(keys, l.pulled)
}

// pullEntry is one plugin in a pull.
type pullEntry struct {
	plugin plugin.Plugin
	status plugin.Status
}

// forget drops the memory of plugins that are no longer installed. What is
// owed of them stays until it was told.
func (l *ledger) forget(installed func(key string) bool) {
	for key := range l.acked {
		if _, owed := l.owed[key]; !owed && !installed(key) {
			delete(l.acked, key)
			l.saving.acked(key, nil)
		}
	}
}

// oldest is since when something is owed; the zero time if nothing is.
func (l *ledger) oldest() (since time.Time) {
	for _, o := range l.owed {
		if since.IsZero() || o.Since.Before(since) {
			since = o.Since
		}
	}
	return since
}
