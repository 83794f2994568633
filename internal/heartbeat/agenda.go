package heartbeat

import (
	"container/heap"
	"time"
)

// agenda holds vigils, the one that is due first at index 0. One timer is
// enough for all of them.
type agenda []*vigil

// next is when the first vigil is due.
func (a agenda) next() time.Duration {
	if len(a) == 0 {
		return never
	}
	return a[0].wake
}

func (a *agenda) add(v *vigil) {
	v.wake = v.due()
	heap.Push(a, v)
}

func (a *agenda) remove(v *vigil) { heap.Remove(a, v.index) }

// moved puts a vigil that may be due at another time in its place.
func (a *agenda) moved(v *vigil) {
	if due := v.due(); due != v.wake {
		v.wake = due
		heap.Fix(a, v.index)
	}
}

// Len is of heap.Interface, as are the next four.
func (a agenda) Len() int { return len(a) }

// Less orders by when a vigil is due.
func (a agenda) Less(i, j int) bool { return a[i].wake < a[j].wake }

// Swap keeps the indexes.
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

// Push appends.
func (a *agenda) Push(x any) {
	v := x.(*vigil)
	v.index = len(*a)
	*a = append(*a, v)
}

// Pop takes the last.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	v := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return v
}
