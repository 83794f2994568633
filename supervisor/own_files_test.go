package supervisor

import (
	"errors"
	"testing"

	"github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/plugin"
)

// A problem is logged once, keeps the time when it began, and is cleared when the
// file works again. A problem that status has already is not added twice.
func TestOwnFilesProblems(t *testing.T) {
	log, hook := test.NewNullLogger()
	failed := errors.New("no space left")
	o := &ownFiles{log: log, problems: map[string]plugin.Problem{}, files: []ownFile{{"socket", func() error { return failed }}}}
	o.checkFiles()
	o.checkFiles()
	if got := o.addTo(nil); len(got) != 1 || got[0].Why != "no space left" || len(hook.AllEntries()) != 1 {
		t.Errorf("problems %+v, %d log lines; want 1 and 1", got, len(hook.AllEntries()))
	}
	if got := o.addTo([]plugin.Problem{{What: "socket"}}); len(got) != 1 {
		t.Errorf("problems %+v, want one", got)
	}
	failed = nil
	o.checkFiles()
	if got := o.addTo(nil); len(got) != 0 || len(hook.AllEntries()) != 2 {
		t.Errorf("after recovery: problems %+v, %d log lines; want 0 and 2", got, len(hook.AllEntries()))
	}
}
