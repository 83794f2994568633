package state

// backlog holds lines of the journal that are to be written, the oldest first,
// at most 10,000 and 4 MiB of them. When more come the oldest are given up.
type backlog struct {
	lines  []waiting
	bytes  int     // of the lines
	lost   int     // entries given up
	latest waiting // the last of them
}

func (b *backlog) push(l waiting) {
	b.lines, b.bytes = append(b.lines, l), b.bytes+len(l.line)
	for len(b.lines) > waitingMax || b.bytes > waitingBytes && len(b.lines) > 1 {
		b.giveUp()
	}
}

// pop takes the oldest line.
func (b *backlog) pop() waiting {
	first := b.lines[0]
	b.lines[0] = waiting{} // lets go of the line
	b.lines, b.bytes = b.lines[1:], b.bytes-len(first.line)
	if len(b.lines) == 0 {
		b.lines = nil
	}
	return first
}

func (b *backlog) giveUp() { b.latest, b.lost = b.pop(), b.lost+1 }

// take adds what came later. Where some of that was given up, all before it is:
// the entry in its place is in order.
func (b *backlog) take(later backlog) {
	if later.lost > 0 {
		for len(b.lines) > 0 {
			b.giveUp()
		}
		b.latest, b.lost = later.latest, b.lost+later.lost
	}
	for _, l := range later.lines {
		b.push(l)
	}
}
