package messages

type (
	// ProblemNoted says that a part of the supervisor outside of the actors failed
	// and retries; without an error it has recovered.
	ProblemNoted struct {
		What string
		Err  error
	}
	// HostNoted holds an observation of a part outside of the actors, and what that
	// part did, for the journal.
	HostNoted struct{ Cause, Decision string }
)

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (ProblemNoted) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging marks the message, see ClockStepped.
func (HostNoted) IgnoreDeadLetterLogging() {}
