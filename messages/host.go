package messages

type (
	// ProblemNoted says that a part of the supervisor beside the actors does not
	// work and is tried again; without an error it works again.
	ProblemNoted struct {
		What string
		Err  error
	}
	// HostNoted says what a part beside the actors found on the host, and did, for
	// the journal.
	HostNoted struct{ Cause, Decision string }
)

// IgnoreDeadLetterLogging: see ClockStepped.
func (ProblemNoted) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging: see ClockStepped.
func (HostNoted) IgnoreDeadLetterLogging() {}
