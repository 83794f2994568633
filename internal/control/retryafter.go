package control

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter is how long a server asks to be left alone, as seconds or as a
// date (SC-17). 0 if it does not say, or says something that cannot be read or
// has passed. A date is taken against the server's own Date, so that a host
// whose clock is wrong waits no longer than it should; now stands in for it.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil { // too large: as long as there is
			n = math.MaxInt64
		}
		return Seconds(n).Duration()
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if served, err := http.ParseTime(h.Get("Date")); err == nil {
		now = served
	}
	return max(0, date.Sub(now))
}
