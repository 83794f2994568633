package main

import (
	"testing"
)

func TestQuantile(t *testing.T) {
	ten := []int{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
	for _, c := range []struct {
		values []int
		q      float64
		want   int
	}{
		{nil, .5, 0},
		{[]int{7}, .99, 7},
		{ten, .5, 6},
		{ten, .9, 10},
		{ten, 1, 10},
		{ten, 0, 1},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %v is %d, want %d", c.q, c.values, got, c.want)
		}
	}
}
