package vocabulary

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/source"
)

// load returns the files of a tree, and the tree.
func load(t *testing.T, tree map[string]string) (fstest.MapFS, []source.File) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range tree {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	files, err := source.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return fsys, files
}

func places(faults []Fault) []string {
	var all []string
	for _, f := range faults {
		all = append(all, f.String())
	}
	return all
}

func TestCheckTexts(t *testing.T) {
	root, files := load(t, map[string]string{
		"a/a.go":                 "package a // told\n\nimport \"told me\"\n\ntype t struct {\n\tx int `json:\"owed x\"`\n}\n\nvar s = `first\nwas told`\n\nvar k, h = \"owed\", \"owed:\"\n",
		"a/a_test.go":            "package a\n\nvar s = \"was told\"\n",
		"internal/tools/x/x.go":  "package x\n\nvar s = \"was told\"\n",
		"a/testdata/old.md":      "was told\n",
		"README.md":              "first\n\nwas `owed` and [told](owed.md) `what holds`\n",
		"page.html":              "<style>\n.told {}\n</style>\n<b class=\"told\">heard</b>\n",
		"Makefile":               "told: ## nobody\n\t# told\n",
		".github/x.yml":          "name: told\n",
		".github/notes.txt":      "told\n",
		"packaging/x.service":    "# told\n",
		"docs/configuration.txt": "told\n",
	})
	got, err := CheckTexts(root, files)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range got {
		f.Say = ""
		found = append(found, f.String())
	}
	want := []string{
		`a/a.go:10: word "told": `, `a/a.go:12: word "owed": `,
		`.github/x.yml:1: word "told": `, `Makefile:1: word "nobody": `, `README.md:3: word "told": `, `README.md:3: word "what holds": `,
		`packaging/x.service:1: word "told": `, `page.html:4: word "heard": `,
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestCheckNames(t *testing.T) {
	_, files := load(t, map[string]string{
		"a/a.go":      "package a\n\ntype Owed struct {\n\tTold int\n\theard int\n}\n\nfunc (Owed) Mend(life int) {}\n\ntype I interface{ Obey() }\n\nconst Ended = 1\n",
		"a/a_test.go": "package a\n\nfunc Mend() {}\n",
	})
	var names []string
	for _, f := range CheckNames(files) {
		names = append(names, f.What)
	}
	if diff := cmp.Diff([]string{"Owed", "Told", "Mend", "Obey", "Ended"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
