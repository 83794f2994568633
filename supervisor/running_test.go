package supervisor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

// UP-06: each plugin's view has the versions of it that are refused; a duplicate
// record, which nobody upgrades, has none.
func TestRefusedVersionsAreThePlugins(t *testing.T) {
	duplicate := plugin.View{Name: "a"}
	duplicate.Duplicate = true
	views := []plugin.View{{Name: "a"}, {Name: "b"}, duplicate}
	bans := []plugin.QuarantinedVersion{{Name: "a", Version: "2.0"}, {Name: "a", Version: "2.1"}, {Name: "gone", Version: "1"}}
	addQuarantined(views, bans)
	got := [][]plugin.QuarantinedVersion{views[0].Quarantined, views[1].Quarantined, views[2].Quarantined}
	if diff := cmp.Diff([][]plugin.QuarantinedVersion{bans[:2], nil, nil}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
