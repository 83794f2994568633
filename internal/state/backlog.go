package state

// backlog holds pending lines of the journal, the oldest first, at most
// maxPendingLines and maxPendingBytes. Beyond that the oldest are discarded.
type backlog struct {
	lines         []journalLine
	bytes         int         // of the lines
	discarded     int         // number of discarded entries
	lastDiscarded journalLine // the last discarded one
}

func (b *backlog) push(l journalLine) {
	b.lines, b.bytes = append(b.lines, l), b.bytes+len(l.line)
	for len(b.lines) > maxPendingLines || b.bytes > maxPendingBytes && len(b.lines) > 1 {
		b.discardOldest()
	}
}

// pop removes and returns the oldest line.
func (b *backlog) pop() journalLine {
	first := b.lines[0]
	b.lines[0] = journalLine{} // frees the memory
	b.lines, b.bytes = b.lines[1:], b.bytes-len(first.line)
	if len(b.lines) == 0 {
		b.lines = nil
	}
	return first
}

func (b *backlog) discardOldest() { b.lastDiscarded, b.discarded = b.pop(), b.discarded+1 }

// appendLater adds a later backlog. If that has discarded lines, all lines before
// it are discarded too, so that the entry that replaces them is in order.
func (b *backlog) appendLater(later backlog) {
	if later.discarded > 0 {
		for len(b.lines) > 0 {
			b.discardOldest()
		}
		b.lastDiscarded, b.discarded = later.lastDiscarded, b.discarded+later.discarded
	}
	for _, l := range later.lines {
		b.push(l)
	}
}
