package plugin

import "time"

// Snapshot is the state of the supervisor at one moment: the answer to `status`.
// The admin API and the command line use its JSON.
type Snapshot struct {
	At         time.Time       `json:"at"`
	Supervisor Supervisor      `json:"supervisor"`
	Plugins    []View          `json:"plugins"`
	Reports    ReportStatus    `json:"reports"`
	Timers     []Timer         `json:"timers"`
	Fetches    []FetchProgress `json:"fetches,omitempty"` // packages being fetched
	Blocked    []Blocked       `json:"blocked,omitempty"` // assigned versions that could not be taken (UP-14)
	Damaged    []Damage        `json:"damaged,omitempty"`
	Problems   []Problem       `json:"problems,omitempty"`
	Counters   Counters        `json:"counters"`
}

// Supervisor describes the supervisor's process.
type Supervisor struct {
	Version    string    `json:"version"`
	PID        int       `json:"pid"`
	Root       string    `json:"root"`
	Manager    string    `json:"manager"` // native, or the path of the external one
	InstanceID string    `json:"instanceId"`
	Started    time.Time `json:"started"`
}

// View is one plugin as status shows it.
type View struct {
	Name              string               `json:"name"`
	Version           string               `json:"version"`
	Type              Type                 `json:"type"`
	State             State                `json:"state"`
	Since             time.Time            `json:"since"`
	Restarts          int                  `json:"restarts"`
	Failures          int                  `json:"failures"`            // since it was last healthy
	Why               string               `json:"why,omitempty"`       // cause of the state
	Next              string               `json:"next,omitempty"`      // planned next step
	NextAt            time.Time            `json:"nextAt,omitzero"`     // time of the next step
	LastHeartbeat     time.Time            `json:"beat,omitzero"`       // last heartbeat
	HeartbeatInterval float64              `json:"interval,omitempty"`  // heartbeat interval, seconds; 0 without a heartbeat
	Acked             Status               `json:"acked,omitzero"`      // last acknowledged by the control plane
	Pending           bool                 `json:"owed,omitempty"`      // a newer status is not acknowledged yet
	Duplicate         bool                 `json:"duplicate,omitempty"` // ST-10
	Watch             WatchMethod          `json:"watch"`               // how its exit is detected (EV-04)
	PIDs              []int                `json:"pids,omitempty"`      // its processes, if known
	UnenforcedLimits  []string             `json:"unlimited,omitempty"` // configured limits that are not enforced, with the reason (EV-17)
	Verified          Verified             `json:"verified,omitempty"`  // how its package was verified; omitted if unknown
	Quarantined       []QuarantinedVersion `json:"refused,omitempty"`   // versions of it that are in quarantine
	Change            *ChangeProgress      `json:"change,omitempty"`    // the change of its version in progress
}

// ChangeProgress is a change in progress, as status shows it.
type ChangeProgress struct {
	What  string    `json:"what"`
	Phase string    `json:"phase"` // queued, fetching, waiting, switching, cancelling
	Since time.Time `json:"since"` // of the phase
}

// IsHealthy reports whether the plugin needs no attention of an operator.
func (v View) IsHealthy() bool {
	switch v.State {
	case StateRunning, StateRemoved, StateRemoving, StateUpgrading:
		return true
	case StateInstalled:
		return v.Type != Persist
	default:
		return false
	}
}

// ListUnverified returns the plugins whose package an attacker could have changed unnoticed.
func (s Snapshot) ListUnverified() (unverified []View) {
	for _, v := range s.Plugins {
		if v.Verified.IsUnverified() {
			unverified = append(unverified, v)
		}
	}
	return unverified
}

// CountQuarantined returns the number of versions of plugins in quarantine.
func (s Snapshot) CountQuarantined() (n int) {
	for _, v := range s.Plugins {
		n += len(v.Quarantined)
	}
	return n
}

// ReportStatus is the state of reporting to the control plane.
type ReportStatus struct {
	Lazy          bool      `json:"lazy"`
	LastCheck     time.Time `json:"lastCheck,omitzero"` // start of the last scan
	LastDelivered time.Time `json:"lastDelivered,omitzero"`
	Pending       int       `json:"owed"` // plugins with a status not acknowledged
	PendingSince  time.Time `json:"owedSince,omitzero"`
	Events        int       `json:"events"`             // events not delivered
	Attempts      int       `json:"attempts,omitempty"` // failed tries of the report in flight
	LastError     string    `json:"lastError,omitempty"`
	NextTry       time.Time `json:"nextTry,omitzero"`
}

// Timer is one of the four periods.
type Timer struct {
	Name     string        `json:"name"`
	Interval time.Duration `json:"-"`
	Seconds  float64       `json:"interval"` // Interval in seconds
	Due      time.Time     `json:"due"`
	Running  bool          `json:"running"` // its work has not finished
	Skipped  int           `json:"skipped"` // due while its work ran (TM-01)
}

// Problem is a failure that is retried.
type Problem struct {
	What  string    `json:"what"` // plugin database, status output, state file, …
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
}

// ProblemLog is the What of dropped log lines. Its Why is a whole sentence.
const ProblemLog = "log"

// String returns the problem in one line.
func (p Problem) String() string {
	if p.What == ProblemLog {
		return p.Why
	}
	return p.What + ": " + p.Why
}

// Counters count since the process started.
type Counters struct {
	Scans             uint64 `json:"scans"`
	Pulls             uint64 `json:"pulls"`
	Probes            uint64 `json:"probes"`
	Exits             uint64 `json:"exits"`      // reported by an event
	HostEvents        uint64 `json:"hostEvents"` // bursts of failures of many plugins (EV-13)
	Restarts          uint64 `json:"restarts"`
	RestartsFailed    uint64 `json:"restartsFailed"`
	ReportsDelivered  uint64 `json:"reportsDelivered"`
	ReportsFailed     uint64 `json:"reportsFailed"`
	ReportsSuppressed uint64 `json:"reportsSuppressed"` // lazy pulls with nothing new (PL-13)
	Upgrades          uint64 `json:"upgrades"`
	UpgradesFailed    uint64 `json:"upgradesFailed"`
	// Defects counts facts that the transition table does not expect.
	Defects            uint64 `json:"defects"`
	UnverifiedInstalls uint64 `json:"weakInstalls"` // packages installed without a SHA-256 or signature
	TimersSkipped      uint64 `json:"timersSkipped"`
	ScanErrors         uint64 `json:"scanErrors"`
	DeadLetters        uint64 `json:"deadLetters"`
	LogLinesDropped    uint64 `json:"logLinesDropped"` // because nothing read the log (EV-27)
}
