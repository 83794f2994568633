package plugin

import "time"

// Offer is a version of a plugin that the control plane wants on this host (UP-05 to UP-08).
type Offer struct {
	Name    string
	Version string
	Timeout time.Duration // deadline of the verb; DefaultTimeout when the offer named none (UP-06)
	Resume  bool          // nobody offered it: it was cut short, and is brought to its end
	Force   bool          // an operator's word: also what is in quarantine
}

// Updates is the control plane's answer to an update check.
type Updates struct {
	Offers       []Offer
	NextInterval time.Duration // ≤ 0: not said (UP-09)
}

// Upgraded is how one upgrade ended.
type Upgraded struct {
	Outcome         // of `--upgrade`, or of the step that failed
	Plugin   Plugin // the record as it is afterwards; the zero value if there is none
	Previous string // the version that was recorded before, "" if none
	Status   Status // of the plugin afterwards; StatusUnknown if it was not touched
	// RolledBack: the new version was tried, and the old one is back.
	RolledBack bool
	SysTag     SysTag // what the report after it says of the host's tag (SPEC 3)
}

// UpdateHandler may take an offered update over: when it returns true, the
// supervisor does nothing else about that offer (UP-05).
type UpdateHandler func(name, version string) bool
