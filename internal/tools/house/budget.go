package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// size holds the number of fields and methods of a type.
type size struct{ fields, methods int }

// budget is the limit for a type below actors/; a larger type has to be split.
var budget = size{fields: 25, methods: 60}

// overBudget holds the types that may be larger, by folder and name, with their
// limits. An entry that is no longer needed is a fault.
var overBudget = map[string]size{}

// checkBudget returns the types below actors/ that exceed the budget or their
// entry in allowed, then the entries that no type needs.
func checkBudget(all []declaredType, allowed map[string]size) []string {
	var faults []string
	unused := maps.Clone(allowed)
	for _, t := range all {
		if t.folder != "actors" && !strings.HasPrefix(t.folder, "actors/") {
			continue
		}
		has, most := size{len(t.fields), len(t.methods)}, budget
		if has.fields <= most.fields && has.methods <= most.methods {
			continue
		}
		_, base, _ := strings.Cut(t.name, ".")
		key := t.folder + "." + base
		if more, ok := allowed[key]; ok {
			most = more
			delete(unused, key)
		}
		if has.fields > most.fields || has.methods > most.methods {
			faults = append(faults, fmt.Sprintf("%s has %d fields and %d methods; at most %d and %d are allowed: split it",
				key, has.fields, has.methods, most.fields, most.methods))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(unused)) {
		faults = append(faults, key+" is within the budget or gone: delete its entry in overBudget")
	}
	return faults
}
