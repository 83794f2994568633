package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table holds the output: sections of measured numbers, with a budget beside
// those that have one.
type table struct {
	title string
	lines []string
}

func (t *table) addSection(name string) { t.lines = append(t.lines, name+"\t\t\t") }

// addRow adds a number; beside is its budget, or empty.
func (t *table) addRow(name, measured, beside string) {
	t.lines = append(t.lines, "  "+strings.Join([]string{name, measured, beside}, "\t")+"\t")
}

// addLimited adds a number that has a budget, marked if it exceeds the budget.
func (t *table) addLimited(name string, measured, budget float64, format, unit string) {
	text := strings.TrimRight(fmt.Sprintf(format, measured)+" "+unit, " ")
	beside := strings.TrimRight(fmt.Sprintf("≤ %g %s", budget, unit), " ")
	if measured > budget {
		beside += "  exceeded"
	}
	t.addRow(name, text, beside)
}

func (t *table) print(w io.Writer) error {
	if len(t.lines) == 0 {
		return nil
	}
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(out, "%s\t\tbudget\t\n", t.title)
	for _, line := range t.lines {
		fmt.Fprintln(out, line)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	return nil
}
