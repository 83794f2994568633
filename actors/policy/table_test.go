package policy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

func TestUnexpected(t *testing.T) {
	has := map[PhaseKind][]FactKind{}
	for phase := range table {
		for _, r := range table[phase] {
			has[PhaseKind(phase)] = append(has[PhaseKind(phase)], r.on)
		}
	}
	for phase, subject := range map[PhaseKind]*Lifecycle{
		Installed:  newSubject(t, plugin.RestartRecord{}).l,
		Waiting:    newSubject(t, plugin.RestartRecord{}).apply(seenDead).l,
		Running:    newSubject(t, plugin.RestartRecord{}).apply(seenRunning).l,
		Stopped:    newSubject(t, plugin.RestartRecord{Stopped: true}).l,
		Changing:   newSubject(t, plugin.RestartRecord{}).apply(granted).l,
		Removed:    NewAbsent(persist(1, "a"), epoch),
		Working:    newSubject(t, plugin.RestartRecord{}).apply(seenDead, begun).l,
		Degraded:   newSubject(t, plugin.RestartRecord{}).apply(seenRunning, Fact{Kind: HealthFailed}).l,
		Stopping:   newSubject(t, plugin.RestartRecord{}).apply(operStop).l,
		Cancelling: newSubject(t, plugin.RestartRecord{}).apply(seenDead, operStop).l,
	} {
		for f := range factCount {
			if slices.Contains(has[phase], f) {
				continue
			}
			before := *subject
			effects, err := subject.Apply(Env{Now: moment(time.Hour), Seq: 99}, Fact{Kind: f})
			var unexpected *Unexpected
			if !errors.As(err, &unexpected) || unexpected.Phase != phase || unexpected.Fact != f || len(effects) != 0 {
				t.Errorf("%s in %s: effects %v, error %v, want none and *Unexpected", f, phase, effects, err)
			}
			if !sameRecord(before.Record, subject.Record) || before.phase != subject.phase || before.factAt != subject.factAt {
				t.Errorf("%s in %s changed something", f, phase)
			}
		}
	}
}
