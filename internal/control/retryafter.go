package control

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// parseRetryAfter returns how long the server asks the client to wait, given in
// seconds or as a date (SC-17); 0 when the header is absent, unreadable or in
// the past. A date is compared with the server's Date header, so that a wrong
// clock of the host does not matter; without that header, with now.
func parseRetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil { // too large: the longest duration
			n = math.MaxInt64
		}
		return Seconds(n).Duration()
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if serverTime, err := http.ParseTime(h.Get("Date")); err == nil {
		now = serverTime
	}
	return max(0, date.Sub(now))
}
