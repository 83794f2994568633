package view

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"pluginsupervisor/internal/admin"
)

// WriteList writes the installed plugins as a table, and damaged records below it.
func WriteList(w io.Writer, l admin.List, p Paint) error {
	var b strings.Builder
	if len(l.Plugins) == 0 {
		fmt.Fprintln(&b, "no plugins are installed")
	} else {
		tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "NAME\tVERSION\tTYPE\tSTATE")
		for _, i := range l.Plugins {
			state := i.State.String()
			if i.Duplicate {
				state += ", duplicate record"
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", CleanLine(i.Name), CleanLine(i.Version), i.Type, state)
		}
		_ = tw.Flush() // into memory
	}
	for _, d := range l.Damaged {
		fmt.Fprintf(&b, "%s %s: %s\n", p.Bad("damaged:"), CleanLine(d.Where), CleanLine(d.Why))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
