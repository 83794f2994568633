package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/tools/source"
)

// TestBudget checks the types of the project.
func TestBudget(t *testing.T) {
	files, err := source.Load(os.DirFS("../../.."))
	if err != nil {
		t.Fatal(err)
	}
	types := newCodebase(files).listTypes()
	if len(types) == 0 {
		t.Fatal("no types found")
	}
	for _, fault := range checkBudget(types, overBudget) {
		t.Error(fault)
	}
}

func TestCheckBudget(t *testing.T) {
	sized := func(folder, name string, fields, methods int) declaredType {
		return declaredType{name: "p." + name, folder: folder, fields: make([]string, fields), methods: make([]method, methods)}
	}
	allowed := map[string]size{"actors.old": {fields: 30, methods: 70}}
	const unused = "actors.old is within the budget or gone: delete its entry in overBudget"
	for name, c := range map[string]struct {
		t    declaredType
		want []string
	}{
		"within":           {sized("actors", "t", 25, 60), []string{unused}},
		"fields":           {sized("actors", "t", 26, 0), []string{"actors.t has 26 fields and 0 methods; at most 25 and 60 are allowed: split it", unused}},
		"methods, below":   {sized("actors/policy", "t", 0, 61), []string{"actors/policy.t has 0 fields and 61 methods; at most 25 and 60 are allowed: split it", unused}},
		"elsewhere":        {sized("internal/actors", "t", 100, 100), []string{unused}},
		"allowed":          {sized("actors", "old", 30, 70), nil},
		"more than that":   {sized("actors", "old", 31, 70), []string{"actors.old has 31 fields and 70 methods; at most 30 and 70 are allowed: split it"}},
		"allowed, not now": {sized("actors", "old", 25, 60), []string{unused}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, checkBudget([]declaredType{c.t}, allowed)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
