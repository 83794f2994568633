package main

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

var idWord = regexp.MustCompile(`\b[A-Z]{2}-[0-9]+\b`)

// namedIn returns, for every word that looks like a row's ID, the test files
// below fsys that hold it, sorted.
func namedIn(fsys fs.FS) (map[string][]string, error) {
	named := map[string][]string{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(p)
		}
		if !isTest(p) {
			return nil
		}
		text, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		words := map[string]bool{}
		for _, w := range idWord.FindAllString(string(text), -1) {
			words[w] = true
		}
		for w := range words {
			named[w] = append(named[w], p) // WalkDir goes in lexical order
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("search tests: %w", err)
	}
	return named, nil
}

func skipDir(p string) error {
	base := path.Base(p)
	if p != "." && (base[0] == '.' || base[0] == '_' || p == "bin") {
		return fs.SkipDir
	}
	return nil
}

func isTest(p string) bool {
	return strings.HasSuffix(p, "_test.go") || strings.HasSuffix(p, ".txtar")
}

// unknownIDs lists the IDs, sorted, that tests name with a prefix of the
// specification but that it does not have.
func unknownIDs(rows []row, named map[string][]string) []string {
	known, prefix := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		known[r.id], prefix[r.prefix()] = true, true
	}
	ids := slices.Sorted(maps.Keys(named))
	return slices.DeleteFunc(ids, func(id string) bool { return known[id] || !prefix[prefixOf(id)] })
}
