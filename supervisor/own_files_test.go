package supervisor

import (
	"errors"
	"testing"

	"github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/plugin"
)

// A problem is told once, keeps the time when it began, and ends when what failed
// works; one that is known already is not told twice.
func TestOwnFilesProblems(t *testing.T) {
	log, hook := test.NewNullLogger()
	failed := errors.New("no space left")
	o := &ownFiles{log: log, problems: map[string]plugin.Problem{}, files: []ownFile{{"socket", func() error { return failed }}}}
	o.checkFiles()
	o.checkFiles()
	if got := o.addTo(nil); len(got) != 1 || got[0].Why != "no space left" || len(hook.AllEntries()) != 1 {
		t.Errorf("%+v, %d lines", got, len(hook.AllEntries()))
	}
	if got := o.addTo([]plugin.Problem{{What: "socket"}}); len(got) != 1 {
		t.Errorf("twice: %+v", got)
	}
	failed = nil
	o.checkFiles()
	if got := o.addTo(nil); len(got) != 0 || len(hook.AllEntries()) != 2 {
		t.Errorf("%+v", got)
	}
}
