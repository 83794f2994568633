package plugin

import "time"

// Memory is what the supervisor must not forget over its own death (SC-18,
// PL-15, EV-11). The Coordinator alone changes it.
type Memory struct {
	Settings Settings
	Acked    map[string]Acked         // by Plugin.Key: what the control plane last acknowledged
	Pending  map[string]PendingReport // by Plugin.Key: what it has not acknowledged yet
	Events   map[uint64]Event         // by sequence: events not delivered yet
	Restarts map[string]RestartRecord // by Plugin.Key
	Blocked  map[string]Blocked       // by name of the plugin
	Entries  uint64                   // number of the last Entry of the journal
}

// Settings is the part of Memory that is not about one plugin.
type Settings struct {
	LastCheck       time.Time `json:"lastCheck,omitzero"` // start of the last scan (SC-01)
	ServerIntervals Intervals `json:"told"`               // as the control plane set them; 0 where it did not
	Configured      Intervals `json:"configured"`         // what was configured when it did: a new configuration wins
	Lazy            bool      `json:"lazy"`               // pulls report only changes (SC-23)
	PullAcked       bool      `json:"pullAcked"`          // a pull report was acknowledged (PL-13, PL-18)
	PulledKeys      []string  `json:"pulled,omitempty"`   // keys in the last acknowledged pull report, sorted
}

// Intervals are the periods of the four timers (SPEC 4).
type Intervals struct {
	Scan      time.Duration `json:"scan"`
	Pull      time.Duration `json:"pull"`
	Update    time.Duration `json:"update"`
	Inventory time.Duration `json:"inventory"`
}

// The bounds of an interval that a control plane sets (TM-04).
const (
	MinInterval = 10 * time.Second
	MaxInterval = 7 * 24 * time.Hour
)

// Acked is the version and status of a plugin that were acknowledged last.
type Acked struct {
	Version string `json:"version"`
	Status  Status `json:"status"`
}

// PendingReport is what still has to be told of a plugin; a newer one replaces it.
type PendingReport struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Status  Status    `json:"status"`
	SysTag  SysTag    `json:"sysTag,omitempty"`
	Since   time.Time `json:"since"`        // when it came to be owed
	ID      uint64    `json:"id"`           // the plugin's record: the order in a report (SC-05)
	Once    bool      `json:"once"`         // listed before the persistent ones (SC-05)
	Seq     uint64    `json:"seq,omitzero"` // which telling this is: an acknowledgement covers it or not
}

// RestartRecord is what is remembered of a plugin's restarts (RS-05).
type RestartRecord struct {
	Count    int    `json:"count"`           // restarts, ever; its first start is none
	Failures int    `json:"failures"`        // since it was last healthy
	Last     Moment `json:"last,omitzero"`   // when the last one ended
	Cause    string `json:"cause,omitempty"` // why it was needed
	// Stopped is set by an operator's stop, until an operator starts the plugin
	// (EV-14); StopPending as long as that stop has not been carried out.
	Stopped     bool `json:"stopped,omitzero"`
	StopPending bool `json:"stopPending,omitzero"`
	// Requested is what an operator asked for while a change was under way, to
	// be done when that has ended (UP-12).
	Requested Request `json:"requested,omitempty"`
	// RunningSince is since when it runs, zero if it does not; Processes are what it runs
	// as, where that is known. By both a successor tells what it can take over
	// and what ended meanwhile (EV-07 to EV-09).
	RunningSince Moment    `json:"up,omitzero"`
	Processes    []Process `json:"processes,omitempty"`
}

// Changes is what handling one message changed of the Memory. A nil pointer
// deletes the entry.
type Changes struct {
	Settings *Settings // nil: unchanged
	Acked    map[string]*Acked
	Pending  map[string]*PendingReport
	Events   map[uint64]*Event
	Restarts map[string]*RestartRecord
	Blocked  map[string]*Blocked
	Entries  []Entry // of the journal, in order (EV-12)
	// Sync: on the disk itself before Save returns, for what must survive the
	// machine's death, not only ours (EV-11).
	Sync bool
}

// IsEmpty tells whether there is nothing to save.
func (c Changes) IsEmpty() bool {
	return c.Settings == nil && len(c.Acked) == 0 && len(c.Pending) == 0 && len(c.Events) == 0 && len(c.Restarts) == 0 &&
		len(c.Blocked) == 0 && len(c.Entries) == 0
}

// Request is a command of an operator that waits for a change to end (UP-12).
type Request string

// The requests; "" is none.
const (
	RequestNone     Request = ""
	RequestStart    Request = "start"
	RequestStop     Request = "stop"
	RequestRestart  Request = "restart"
	RequestRollback Request = "rollback"
	RequestRemove   Request = "remove"
	RequestCancel   Request = "cancel"
)
