package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
)

// tally counts operations and violations.
type tally struct {
	mu       sync.Mutex
	counts   []count
	troubles []string // a description of each violation
}

type count struct {
	name string
	n    int
	must bool // n must be 0
}

// add counts an operation.
func (t *tally) add(name string, n int) { t.count(name, n, false) }

// mustNot counts violations, one for each of the details.
func (t *tally) mustNot(name string, details ...string) {
	t.count(name, len(details), true)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range details {
		t.troubles = append(t.troubles, name+": "+d)
	}
}

func (t *tally) count(name string, n int, must bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.counts {
		if t.counts[i].name == name {
			t.counts[i].n += n
			return
		}
	}
	t.counts = append(t.counts, count{name, n, must})
}

// countOf returns a count.
func (t *tally) countOf(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.counts {
		if c.name == name {
			return c.n
		}
	}
	return 0
}

func (t *tally) hasViolations() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.troubles) > 0
}

func (t *tally) print(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, must := range []bool{false, true} {
		for _, c := range t.counts {
			if c.must != must {
				continue
			}
			verdict := ""
			switch {
			case c.must && c.n > 0:
				verdict = "must be 0"
			case c.must:
				verdict = "ok"
			}
			fmt.Fprintf(out, "%s\t%d\t%s\n", c.name, c.n, verdict)
		}
	}
	for _, trouble := range t.troubles {
		fmt.Fprintln(out, trouble)
	}
	return out.Flush()
}
