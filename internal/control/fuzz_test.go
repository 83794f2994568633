package control

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

func FuzzStatusAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", "<html>", `{"code":0,"scanInterval":900,"pullInterval":300,"refreshInterval":60,"reportType":1}`,
		`{"scanInterval":"900"}`, `{"scanInterval":99999999999999999999}`, `{"reportType":-1}`, `{"scanInterval":1e9}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a := readStatus(response{body: body})
		if a.ParseErr != nil {
			if !errors.Is(a.ParseErr, plugin.ErrUnreadableAnswer) || a != (plugin.Answer{ParseErr: a.ParseErr}) {
				t.Errorf("answer %+v is not understood, but has values", a)
			}
			return
		}
		if a.ReportMode != nil && *a.ReportMode != plugin.ReportNormal && *a.ReportMode != plugin.ReportLazy {
			t.Errorf("report mode %d, want 0 or 1", *a.ReportMode)
		}
	})
}

func FuzzUpdateAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "[]", "{}", `{"nextInterval":1801,"plugin":[{"name":"a","version":"2.0","timeout":60}]}`,
		`{"plugin":[{"timeout":-9223372036854775809}]}`, `{"plugin":[null]}`, `{"plugin":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := readUpdates(response{body: body})
		if err != nil && (!errors.Is(err, plugin.ErrUnreadableAnswer) || u.Changes != nil || u.NextInterval != 0) {
			t.Errorf("error %v with %+v", err, u)
		}
		for _, o := range u.Changes {
			if o.Timeout <= 0 || o.Timeout > plugin.MaxTimeout {
				t.Errorf("offer with a timeout of %v", o.Timeout)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2015, time.October, 21, 7, 28, 0, 0, time.UTC)
	f.Add("120", "")
	f.Add("-1", "x")
	f.Add("Wed, 21 Oct 2015 07:29:30 GMT", "Wed, 21 Oct 2015 07:29:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		if d := parseRetryAfter(h, now); d < 0 {
			t.Errorf("wait %v, want 0 or more", d)
		}
	})
}

func FuzzOSRelease(f *testing.F) {
	f.Add("ID=debian\nVERSION_ID=\"12\"\n")
	f.Add("ID=\n=\nVERSION_ID")
	f.Add("ID=' '")
	f.Fuzz(func(t *testing.T, release string) {
		if d := parseDistribution(release); d == "" || strings.ContainsAny(d, "\n") {
			t.Errorf("distribution %q", d)
		}
	})
}
