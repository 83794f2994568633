package plugin

import "time"

// Memory is the durable state: it survives the exit of the supervisor (SC-18,
// PL-15, EV-11). Only the Coordinator changes it.
type Memory struct {
	Settings Settings
	Acked    map[string]Acked         // by Plugin.Key: last acknowledged by the control plane
	Pending  map[string]PendingReport // by Plugin.Key: not acknowledged yet
	Events   map[uint64]Event         // by sequence: events not delivered yet
	Restarts map[string]RestartRecord // by Plugin.Key
	Blocked  map[string]Blocked       // by name of the plugin
	Entries  uint64                   // number of the last Entry of the journal
}

// Settings is the part of Memory that is not about one plugin.
type Settings struct {
	LastCheck       time.Time `json:"lastCheck,omitzero"` // start of the last scan (SC-01)
	ServerIntervals Intervals `json:"told"`               // as the control plane set them; 0 where it did not
	Configured      Intervals `json:"configured"`         // the configuration at that time: a new one overrides ServerIntervals
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

// PendingReport is a status that the control plane has not acknowledged; a newer one of the plugin replaces it.
type PendingReport struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Status  Status    `json:"status"`
	SysTag  SysTag    `json:"sysTag,omitempty"`
	Since   time.Time `json:"since"`        // when it became pending
	ID      uint64    `json:"id"`           // the plugin's record: the order in a report (SC-05)
	Once    bool      `json:"once"`         // listed before the persistent ones (SC-05)
	Seq     uint64    `json:"seq,omitzero"` // number: an acknowledgement of a report covers the numbers that it carried
}

// RestartRecord is the durable record of a plugin's restarts (RS-05).
type RestartRecord struct {
	Count    int    `json:"count"`           // all restarts; the first start is none
	Failures int    `json:"failures"`        // since it was last healthy
	Last     Moment `json:"last,omitzero"`   // when the last one finished
	Cause    string `json:"cause,omitempty"` // why it was needed
	// Stopped is set by an operator's stop until an operator starts the plugin
	// (EV-14), StopPending until that stop has been carried out.
	Stopped     bool `json:"stopped,omitzero"`
	StopPending bool `json:"stopPending,omitzero"`
	// Requested is an operator's command that waits until a change has finished
	// (UP-12).
	Requested Request `json:"requested,omitempty"`
	// RunningSince is zero if the plugin does not run; Processes are its processes
	// if known. With both, the next supervisor process re-attaches to plugins and
	// detects the ones that exited meanwhile (EV-07 to EV-09).
	RunningSince Moment    `json:"up,omitzero"`
	Processes    []Process `json:"processes,omitempty"`
}

// Changes holds the changes of the Memory by one message. A nil pointer deletes
// the entry.
type Changes struct {
	Settings *Settings // nil: unchanged
	Acked    map[string]*Acked
	Pending  map[string]*PendingReport
	Events   map[uint64]*Event
	Restarts map[string]*RestartRecord
	Blocked  map[string]*Blocked
	Entries  []Entry // of the journal, in order (EV-12)
	// Sync requires that the changes are on the disk before Save returns: they must
	// survive a power failure, too (EV-11).
	Sync bool
}

// IsEmpty reports whether there is nothing to save.
func (c Changes) IsEmpty() bool {
	return c.Settings == nil && len(c.Acked) == 0 && len(c.Pending) == 0 && len(c.Events) == 0 && len(c.Restarts) == 0 &&
		len(c.Blocked) == 0 && len(c.Entries) == 0
}

// Request is a command of an operator that waits until a change has finished (UP-12).
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
