package vocabulary

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckThings(t *testing.T) {
	_, files := load(t, map[string]string{
		// order is a type, a field, a method and a parameter; same is three things.
		"a/a.go":      "package a\n\ntype order struct{ order int }\n\ntype same struct{ same int }\n\nfunc f(same int) {}\n",
		"a/b.go":      "package a\n\nfunc (t) order(order int) {\n\tfor same := range x {\n\t}\n}\n",
		"a/a_test.go": "package a\n\nfunc same() {}\n",
		"b/b.go":      "package b\n\nimport \"x/kind\"\n\nconst (\n\tkind = 1\n)\n\nfunc f() {\n\tvar kind int\n}\n\ntype i interface{ kind() }\n",
		"c/c.go":      "package c\n\nfunc order() {}\n",
	})
	var got []string
	for _, f := range CheckThings(files) {
		got = append(got, f.String())
	}
	want := []string{
		`a/a.go:3: things "order": names 4 things, 3 at most: field (a.go:3), local (b.go:3), method (b.go:3), type (a.go:3)`,
		`b/b.go:6: things "kind": names 4 things, 3 at most: constant (b.go:6), local (b.go:10), method (b.go:13), package (b.go:3)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
