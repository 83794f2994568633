package heartbeat

import (
	"container/heap"
	"time"
)

// deadlineHeap orders deadlines by their due time, the first at index 0. So one
// timer is enough for all.
type deadlineHeap []*beatDeadline

// next returns the due time of the first deadline.
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

// update reorders a deadline whose due time may have changed.
func (h *deadlineHeap) update(d *beatDeadline) {
	if due := d.due(); due != d.wake {
		d.wake = due
		heap.Fix(h, d.index)
	}
}

// Len returns the number of deadlines. With the next four methods it implements
// heap.Interface.
func (h deadlineHeap) Len() int { return len(h) }

// Less reports whether deadline i is due before j.
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
