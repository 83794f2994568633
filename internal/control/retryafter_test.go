package control

import (
	"math"
	"net/http"
	"testing"
	"time"
)

// SC-17: Retry-After in both forms, and invalid values.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2015, time.October, 21, 7, 28, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		value, date string
		want        time.Duration
	}{
		"absent":                {"", "", 0},
		"seconds":               {"120", "", 2 * time.Minute},
		"blanks around":         {" 120\t", "", 2 * time.Minute},
		"none":                  {"0", "", 0},
		"negative":              {"-5", "", 0},
		"a fraction":            {"1.5", "", 0},
		"a word":                {"soon", "", 0},
		"other digits":          {"١٢", "", 0},
		"a sign":                {"+5", "", 0},
		"beyond a Duration":     {"9223372037", "", math.MaxInt64},
		"beyond 64 bits":        {"100000000000000000000000", "", math.MaxInt64},
		"a date":                {"Wed, 21 Oct 2015 07:29:30 GMT", "", 90 * time.Second},
		"an old form of date":   {"Wednesday, 21-Oct-15 07:29:30 GMT", "", 90 * time.Second},
		"a date gone by":        {"Wed, 21 Oct 2015 07:27:00 GMT", "", 0},
		"a date far off":        {"Fri, 31 Dec 9999 23:59:59 GMT", "", math.MaxInt64},
		"a date and the server": {"Wed, 21 Oct 2015 07:29:30 GMT", "Wed, 21 Oct 2015 07:29:00 GMT", 30 * time.Second},
		"an unreadable Date":    {"Wed, 21 Oct 2015 07:29:30 GMT", "today", 90 * time.Second},
	} {
		t.Run("SC-17 "+name, func(t *testing.T) {
			h := http.Header{}
			if test.value != "" {
				h.Set("Retry-After", test.value)
			}
			if test.date != "" {
				h.Set("Date", test.date)
			}
			if got := parseRetryAfter(h, now); got != test.want {
				t.Errorf("Retry-After %q: %v, want %v", test.value, got, test.want)
			}
		})
	}
}
