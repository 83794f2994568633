package fetch

import "testing"

func TestContentRange(t *testing.T) {
	for _, tt := range []struct {
		header       string
		first, total int64
		ok           bool
	}{
		{"bytes 5-9/10", 5, 10, true},
		{"bytes 5-9/*", 5, -1, true},
		{"bytes */10", 0, 10, false},
		{"bytes 5-9/4", 5, 4, false},
		{"5-9/10", 5, 10, false},
		{"", 0, 0, false},
	} {
		first, total, ok := parseContentRange(tt.header)
		if ok != tt.ok || ok && (first != tt.first || total != tt.total) {
			t.Errorf("%q is %d of %d, %v", tt.header, first, total, ok)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/10")
	f.Add("bytes 0-0/*")
	f.Add("bytes -1--1/-2")
	f.Fuzz(func(t *testing.T, header string) {
		if first, total, ok := parseContentRange(header); ok && (first < 0 || total < -1 || total >= 0 && total < first) {
			t.Errorf("%q is parsed as %d of %d", header, first, total)
		}
	})
}
