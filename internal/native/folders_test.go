package native

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

// EV-32: a folder that cannot be renamed is removed where it is, and one that
// cannot be deleted is reported.
func TestRemoveFolder(t *testing.T) {
	b := newFixture(t)
	b.install("p", "1.0", okScript, "20")
	dir := b.versionFolder("p", "1.0")
	b.setStep(func(step string) error {
		if step == "set aside p" {
			return unix.EXDEV
		}
		return nil
	})
	got := b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Kind: plugin.ChangeRemove}, plugin.ChangePermit{})
	if got.Err != nil || got.Note != "" || isFolder(filepath.Dir(dir)) || len(b.folders.listUndeleted()) > 0 {
		t.Errorf("removed: %+v", got)
	}
	b.install("p", "1.0", okScript, "20")
	b.setStep(func(step string) error {
		if step == "remove p" {
			return unix.EPERM
		}
		return nil
	})
	got = b.fetchAndChange(t.Context(), plugin.Change{Name: "p", Kind: plugin.ChangeRemove}, plugin.ChangePermit{})
	if got.Err != nil || !strings.Contains(got.Note, "could not be deleted: operation not permitted") || got.Status != plugin.StatusRemoved {
		t.Errorf("removed: %+v", got)
	}
	if problems := b.folders.listUndeleted(); len(problems) != 1 || !strings.Contains(problems[0].Why, filepath.Dir(dir)) {
		t.Errorf("problems: %+v", problems)
	}
}
