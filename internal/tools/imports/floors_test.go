package imports

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/source"
)

func TestCheckFloors(t *testing.T) {
	house := []floor{{"low", []string{"a", "b", "x/part"}}, {"high", []string{"x", "y"}}}
	base := map[string]string{"a": "", "b": "", "x/part": "", "x": "", "y": ""} // folder → its one import
	for name, c := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"down":                        {map[string]string{"x": "a", "y": "x/part"}, nil},
		"a parent its sub-package":    {map[string]string{"x": "x/part"}, nil},
		"up":                          {map[string]string{"a": "y"}, []string{"internal/a/a.go imports pluginsupervisor/internal/y, floor 1 imports floor 2"}},
		"the same floor":              {map[string]string{"x": "y"}, []string{"internal/x/a.go imports pluginsupervisor/internal/y, floor 2 imports floor 2"}},
		"a sub-package its parent":    {map[string]string{"x/part": "x"}, []string{"internal/x/part/a.go imports pluginsupervisor/internal/x, floor 1 imports floor 2"}},
		"a package without a floor":   {map[string]string{"z": "a"}, []string{"internal/z has no floor"}},
		"a floor without its package": {map[string]string{"b": "-"}, []string{"internal/b is in the table of floors and is no package"}},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"internal/a/a_test.go": {Data: []byte("package p\nimport _ \"pluginsupervisor/internal/y\"\n")}}
			for _, tree := range []map[string]string{base, c.change} {
				for folder, imported := range tree {
					text := "package p\n"
					if imported != "" {
						text += "import _ \"" + Module + "/internal/" + imported + "\"\n"
					}
					fsys["internal/"+folder+"/a.go"] = &fstest.MapFile{Data: []byte(text)}
					if imported == "-" {
						delete(fsys, "internal/"+folder+"/a.go")
					}
				}
			}
			files, err := source.Load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, fault := range checkFloors(files, house) {
				got = append(got, fault.File+" "+fault.What)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a package on two floors", func(t *testing.T) {
		faults := checkFloors([]source.File{{Path: "internal/a/a.go"}}, []floor{{"low", []string{"a"}}, {"high", []string{"a"}}})
		if len(faults) != 1 || faults[0].What != "is in the table of floors twice" {
			t.Errorf("faults %v", faults)
		}
	})
}
