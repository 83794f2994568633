package main

import (
	"go/ast"
	"path"
	"slices"
	"strings"

	"pluginsupervisor/internal/tools/source"
)

// codebase is the files of a module, generated ones left out.
type codebase struct {
	source, tests []source.File
}

func newCodebase(files []source.File) codebase {
	var c codebase
	for _, f := range files {
		switch {
		case ast.IsGenerated(f.Syntax):
		case f.Test:
			c.tests = append(c.tests, f)
		default:
			c.source = append(c.source, f)
		}
	}
	return c
}

// sourceByFolder returns the source files by folder.
func (c codebase) sourceByFolder() map[string][]source.File {
	folders := map[string][]source.File{}
	for _, f := range c.source {
		folders[f.Dir()] = append(folders[f.Dir()], f)
	}
	return folders
}

// lineCounts returns the lines of each file.
func lineCounts(files []source.File) []int {
	var lines []int
	for _, f := range files {
		lines = append(lines, f.Lines)
	}
	return lines
}

// namedTests returns how many source files with at least minLines lines there
// are, and how many of them have a test of their name beside them.
func (c codebase) namedTests(minLines int) (all, tested int) {
	tests := map[string]bool{}
	for _, f := range c.tests {
		tests[f.Path] = true
	}
	for _, f := range c.source {
		if f.Lines < minLines {
			continue
		}
		all++
		if tests[strings.TrimSuffix(f.Path, ".go")+"_test.go"] {
			tested++
		}
	}
	return all, tested
}

// orphanTests returns how many test files have no source of their name beside
// them. Test files that only hold helpers count too.
func (c codebase) orphanTests() int {
	source := map[string]bool{}
	for _, f := range c.source {
		source[f.Path] = true
	}
	orphans := 0
	for _, f := range c.tests {
		if !source[strings.TrimSuffix(f.Path, "_test.go")+".go"] {
			orphans++
		}
	}
	return orphans
}

// commentLines returns how many lines of the source hold a comment, alone or
// behind code.
func (c codebase) commentLines() int {
	total := 0
	for _, f := range c.source {
		lines := map[int]bool{}
		for _, group := range f.Syntax.Comments {
			for _, comment := range group.List {
				for line := f.Line(comment.Pos()); line <= f.Line(comment.End()-1); line++ {
					lines[line] = true
				}
			}
		}
		total += len(lines)
	}
	return total
}

// packageName returns the name by which the table speaks of a package.
func packageName(f source.File) string {
	if f.Syntax.Name.Name == "main" {
		return path.Base(f.Dir())
	}
	return f.Syntax.Name.Name
}

// quantile returns the value that the share q of the sorted values does not
// exceed, 0 of none.
func quantile(values []int, q float64) int {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func sum(values []int) int {
	total := 0
	for _, v := range values {
		total += v
	}
	return total
}
