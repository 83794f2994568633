package heartbeat

import (
	"container/heap"
	"time"
)

// deadlineHeap orders deadlines by when they are due; the first has index 0. So
// one timer is enough for all of them.
type deadlineHeap []*beatDeadline

// next returns when the first deadline is due.
func (h deadlineHeap) next() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].wake
}

func (h *deadlineHeap) add(d *beatDeadline) {
	d.wake = d.due()
	heap.Push(h, d)
}

func (h *deadlineHeap) remove(d *beatDeadline) { heap.Remove(h, d.index) }

// update moves a deadline whose due time may have changed to its new place.
func (h *deadlineHeap) update(d *beatDeadline) {
	if due := d.due(); due != d.wake {
		d.wake = due
		heap.Fix(h, d.index)
	}
}

// Len implements heap.Interface, as do the next four methods.
func (h deadlineHeap) Len() int { return len(h) }

// Less orders by when a deadline is due.
func (h deadlineHeap) Less(i, j int) bool { return h[i].wake < h[j].wake }

// Swap swaps two deadlines and updates their indexes.
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push appends a deadline.
func (h *deadlineHeap) Push(x any) {
	d := x.(*beatDeadline)
	d.index = len(*h)
	*h = append(*h, d)
}

// Pop removes and returns the last deadline.
func (h *deadlineHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return d
}
