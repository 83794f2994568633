package supervisor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

// UP-06: the view of each plugin has its versions in quarantine; that of a duplicate
// record, which is never upgraded, has none.
func TestAddQuarantined(t *testing.T) {
	duplicate := plugin.View{Name: "a"}
	duplicate.Duplicate = true
	views := []plugin.View{{Name: "a"}, {Name: "b"}, duplicate}
	quarantined := []plugin.QuarantinedVersion{{Name: "a", Version: "2.0"}, {Name: "a", Version: "2.1"}, {Name: "gone", Version: "1"}}
	addQuarantined(views, quarantined)
	got := [][]plugin.QuarantinedVersion{views[0].Quarantined, views[1].Quarantined, views[2].Quarantined}
	if diff := cmp.Diff([][]plugin.QuarantinedVersion{quarantined[:2], nil, nil}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
