package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// printRows prints every row under its section, with the first file that tests it,
// or the reason why none does.
func printRows(w io.Writer, rows []row, named map[string][]string, reasons map[string]string) {
	section := ""
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if r.section != section {
			table.Flush()
			section = r.section
			fmt.Fprintf(w, "\n%s\n", section)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", r.id, describeTest(named[r.id], reasons[r.id]), shortenText(r.condition, 60))
	}
	table.Flush()
}

func describeTest(files []string, reason string) string {
	switch {
	case len(files) > 1:
		return fmt.Sprintf("%s +%d", files[0], len(files)-1)
	case len(files) == 1:
		return files[0]
	case reason != "":
		return "open: " + shortenText(reason, 40)
	default:
		return "NO TEST"
	}
}

func shortenText(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// printSummary prints the number of rows of each prefix that have a test, in the order of
// the document, and the total.
func printSummary(w io.Writer, rows []row, named map[string][]string) {
	type summary struct{ rows, tested int }
	var order []string
	summaries := map[string]*summary{}
	total := summary{}
	for _, r := range rows {
		s := summaries[r.prefix()]
		if s == nil {
			s = &summary{}
			summaries[r.prefix()] = s
			order = append(order, r.prefix())
		}
		s.rows++
		total.rows++
		if len(named[r.id]) > 0 {
			s.tested++
			total.tested++
		}
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\trows\ttested\topen\t")
	for _, p := range order {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\n", p, summaries[p].rows, summaries[p].tested, summaries[p].rows-summaries[p].tested)
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t\n", total.rows, total.tested, total.rows-total.tested)
	table.Flush()
}
