package transaction

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"pluginsupervisor/internal/record"
)

// Step names the step that a change has reached.
type Step string

// The steps, in their order; Undoing may follow each of the first three. The comments
// say how a change is recovered that was killed there.
const (
	Prepared  Step = "prepared"  // nothing is changed: the new folder is removed, if the change made it
	Switching Step = "switching" // record and folders may differ: it is undone
	Proving   Step = "proving"   // the new version runs: it proves itself again
	Committed Step = "committed" // all is done: old folders are removed
	Undoing   Step = "undoing"   // it is undone
)

// Transaction is one change of one plugin.
type Transaction struct {
	Name string
	From *record.Record // nil: it was not installed
	To   record.Record
	Made bool // this change made the folder of To
	// Replaces reports whether a package replaces the folder of To, which is kept
	// until the change is committed (layout.Replaced).
	Replaces       bool
	Staged         string // the ID of To's package, see install.Staged; "": it was unpacked already
	Sequence       uint64 // of its signature, saved when the change is committed
	OldRan         bool   // From ran when the change was granted: if To does not, From is restored (UP-13)
	HeartbeatFresh bool   // From's heartbeat was in time then
	Step           Step
	Cause          string // of Undoing
	Began          time.Time
	// Interrupted reports whether it is undone because an operator interrupted it, not
	// because To is bad (UP-12).
	Interrupted  bool
	LeaveStopped bool // From is restored and not started
}

// file is a Transaction as it is on disk. Records keep their own form, with the
// fields that are not known here.
type file struct {
	Name  string          `json:"name"`
	From  json.RawMessage `json:"from,omitempty"`
	To    json.RawMessage `json:"to"`
	Made  bool            `json:"made,omitempty"`
	Ran   bool            `json:"ran,omitempty"`
	Beat  bool            `json:"beat,omitempty"`
	Step  Step            `json:"step"`
	Cause string          `json:"cause,omitempty"`
	Began time.Time       `json:"began"`

	Interrupted  bool `json:"interrupted,omitempty"`
	LeaveStopped bool `json:"leaveStopped,omitempty"`

	Replaces bool   `json:"replaces,omitempty"`
	Staged   string `json:"staged,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
}

func (t Transaction) encode() ([]byte, error) {
	f := file{
		Name: t.Name, Made: t.Made, Ran: t.OldRan, Beat: t.HeartbeatFresh, Step: t.Step, Cause: t.Cause, Began: t.Began, Interrupted: t.Interrupted, LeaveStopped: t.LeaveStopped,
		Replaces: t.Replaces, Staged: t.Staged, Sequence: t.Sequence,
	}
	var err error
	if f.To, err = t.To.Encode(); err != nil {
		return nil, err
	}
	if t.From != nil {
		if f.From, err = t.From.Encode(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(f)
}

var errNotTransaction = errors.New("not a transaction")

func decode(b []byte) (Transaction, error) {
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return Transaction{}, fmt.Errorf("decode transaction: %w", err)
	}
	t := Transaction{
		Name: f.Name, Made: f.Made, OldRan: f.Ran, HeartbeatFresh: f.Beat, Step: f.Step, Cause: f.Cause, Began: f.Began, Interrupted: f.Interrupted, LeaveStopped: f.LeaveStopped,
		Replaces: f.Replaces, Staged: f.Staged, Sequence: f.Sequence,
	}
	switch t.Step {
	case Prepared, Switching, Proving, Committed, Undoing:
	default:
		return Transaction{}, fmt.Errorf("decode transaction: step %q: %w", t.Step, errNotTransaction)
	}
	var err error
	if t.To, err = record.Decode(f.To); err != nil {
		return Transaction{}, fmt.Errorf("decode transaction: %w", err)
	}
	if f.From != nil {
		from, err := record.Decode(f.From)
		if err != nil {
			return Transaction{}, fmt.Errorf("decode transaction: %w", err)
		}
		t.From = &from
	}
	if t.To.Name != t.Name || t.From != nil && t.From.Name != t.Name {
		return Transaction{}, fmt.Errorf("decode transaction: records of other plugins than %q: %w", t.Name, errNotTransaction)
	}
	return t, nil
}
