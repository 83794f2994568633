package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printTable prints all measures, one a line; with a base, its value before the
// present one.
func (c codebase) printTable(w io.Writer, base *codebase) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows := c.measureAll()
	if base == nil {
		for _, r := range rows {
			fmt.Fprintf(table, "%s\t%s\n", r[0], r[1])
		}
	} else {
		fmt.Fprint(table, "\tbefore\tnow\n")
		before := base.measureAll()
		for i, r := range rows {
			fmt.Fprintf(table, "%s\t%s\t%s\n", r[0], before[i][1], r[1])
		}
	}
	table.Flush()
}

// measureAll returns the measures: what, and how much.
func (c codebase) measureAll() [][2]string {
	var rows [][2]string
	row := func(what, format string, args ...any) {
		rows = append(rows, [2]string{what, fmt.Sprintf(format, args...)})
	}

	lines, testLines := lineCounts(c.source), lineCounts(c.tests)
	total := sum(lines)
	row("source lines / files", "%d / %d", total, len(lines))
	row("file median / p90 / max", "%d / %d / %d", quantile(lines, .5), quantile(lines, .9), quantile(lines, 1))
	short := 0
	for _, n := range lines {
		if n < 80 {
			short++
		}
	}
	row("files < 80 lines", "%s", formatPercent(short, len(lines)))

	fns := listFunctions(c.source)
	var length, branches, nameLength []int
	oneWord := 0
	for _, f := range fns {
		length, branches = append(length, f.lines), append(branches, f.cyclomatic)
		nameLength = append(nameLength, len(f.name))
		if countWords(f.name) == 1 {
			oneWord++
		}
	}
	row("function median / p90 / p99 / max", "%s", formatSpread(length))
	row("cyclomatic p90 / p99 / max", "%d / %d / %d", quantile(branches, .9), quantile(branches, .99), quantile(branches, 1))
	row("test : source lines", "%.2f", ratio(sum(testLines), total))
	length = nil
	testFns := listFunctions(c.tests)
	for _, f := range testFns {
		length = append(length, f.lines)
	}
	row("test function median / p90 / p99 / max", "%s", formatSpread(length))

	var packages []int
	undocumented := 0
	for _, files := range c.sourceByFolder() {
		packages = append(packages, sum(lineCounts(files)))
		documented := false
		for _, f := range files {
			documented = documented || f.Syntax.Doc != nil
		}
		if !documented {
			undocumented++
		}
	}
	row("packages, median lines", "%d, %d", len(packages), quantile(packages, .5))
	exported, withoutDoc := listExports(c.source), 0
	for _, e := range exported {
		if !e.doc {
			withoutDoc++
		}
	}
	row("exported per package / per 1,000 lines", "%.1f / %.1f", ratio(len(exported), len(packages)), 1000*ratio(len(exported), total))
	row("exported without doc; packages without doc", "%d; %d", withoutDoc, undocumented)
	row("comment share of source", "%.1f %%", 100*ratio(c.commentLines(), total))
	row("one-word function names; mean length", "%s; %.1f", formatPercent(oneWord, len(fns)), ratio(sum(nameLength), len(fns)))
	plain, tells := docForms(c.source)
	row(`doc "returns/reports" : "tells"/"is what"`, "%d : %d", plain, tells)
	all, tested := c.namedTests(100)
	row("source >= 100 lines with a test of its name", "%s", formatPercent(tested, all))
	all, tested = c.namedTests(0)
	row("source with a test of its name", "%s", formatPercent(tested, all))
	row("tests without a source of their name", "%s", formatPercent(c.orphanTests(), len(c.tests)))
	biggest := "none"
	if types := c.listTypes(); len(types) > 0 {
		t := types[0]
		biggest = fmt.Sprintf("%s %d / %d / %d", t.name, len(t.fields), len(t.methods), t.methodLines())
	}
	row("biggest type: fields / methods / lines", "%s", biggest)
	inits, examples := 0, 0
	for _, f := range fns {
		if f.name == "init" {
			inits++
		}
	}
	for _, f := range testFns {
		if strings.HasPrefix(f.name, "Example") {
			examples++
		}
	}
	row("init(); godoc examples", "%d; %d", inits, examples)
	return rows
}

// formatSpread returns median, p90, p99 and maximum.
func formatSpread(values []int) string {
	return fmt.Sprintf("%d / %d / %d / %d", quantile(values, .5), quantile(values, .9), quantile(values, .99), quantile(values, 1))
}

func formatPercent(part, whole int) string { return fmt.Sprintf("%.0f %%", 100*ratio(part, whole)) }

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
