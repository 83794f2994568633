package plugin

import "time"

// Offer is a version of a plugin that is to be on this host: the control plane
// wants it (UP-05 to UP-08), or an operator.
type Offer struct {
	Name    string
	Version string        // "": the one before, an operator's wish to roll back
	Timeout time.Duration // deadline of the verb; DefaultTimeout when the offer named none (UP-06)
	Package string        // where it is: a file or URL; "": on this host, or the control plane is asked
	Force   bool          // an operator's word: also what is in quarantine
	Resume  bool          // nobody offered it: it was cut short, and is brought to its end
	Remove  bool          // no version is to be on this host (CL-10)
}

// String says what is to be done.
func (o Offer) String() string {
	switch {
	case o.Remove:
		return "remove"
	case o.Resume:
		return "upgrade to " + o.Version + " goes on"
	case o.Version == "":
		return "roll back"
	case o.Force:
		return "upgrade to " + o.Version
	default:
		return "offered " + o.Version
	}
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
	// Verified is by what the package was that came for it; VerifiedUnknown if none came.
	Verified Verified
}

// Change says what a good one has changed.
func (u Upgraded) Change() string {
	change := "installed " + u.Plugin.Version
	if u.Previous != "" {
		change = "upgraded from " + u.Previous + " to " + u.Plugin.Version
	}
	if u.Verified.Weak() {
		change += ", " + u.Verified.Words()
	}
	return change
}

// UpdateHandler may take an offered update over: when it returns true, the
// supervisor does nothing else about that offer (UP-05).
type UpdateHandler func(name, version string) bool
