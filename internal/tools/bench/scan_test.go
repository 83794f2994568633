package main

import (
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	if got := medianOf([]time.Duration{5, 1, 3}); got != 3 {
		t.Errorf("median of three = %d, want 3", got)
	}
}
