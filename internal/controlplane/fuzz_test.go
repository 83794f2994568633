package controlplane

import (
	"errors"
	"math"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

func FuzzDecodeReport(f *testing.F) {
	for _, seed := range []string{
		`{"plugin":[{"name":"a","status":"PERSIST_RUNNING","version":"1","sysTagType":"add"}]}`,
		`{"plugin":[]}`, `{"plugin":[null]}`, `[]`, `{`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		entries, err := decodeReport(body)
		if err != nil {
			requireRequestError(t, err)
			return
		}
		for _, e := range entries {
			if e.Name == "" || len(e.Name) > maxText || len(e.Version) > maxText || e.Status > plugin.StatusRemoved {
				t.Errorf("accepted %+v", e)
			}
		}
	})
}

func FuzzDecodeUpdate(f *testing.F) {
	for _, seed := range []string{`{"os":"linux","arch":"x64","plugin":[{"name":"a","version":"1"}]}`, `{"plugin":7}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		has, err := decodeUpdate(body)
		if err != nil {
			requireRequestError(t, err)
			return
		}
		for _, p := range has {
			if p.Name == "" || len(p.Name) > maxText {
				t.Errorf("accepted %+v", p)
			}
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	for _, seed := range []string{
		`{"eventId":"agent.plugin.update","eventTime":1795402604238,"keywords":"{\"name\":\"a\",\"status\":\"1\"}"}`,
		`{"eventId":"agent.plugin.locallist","keywords":"{\"pluginList\":\"{\\\"name\\\":[\\\"a\\\"]}\"}"}`,
		`{"eventId":"x","eventTime":9e99}`, `{"eventId":5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := decodeEvent(body, time.Now())
		if err != nil {
			requireRequestError(t, err)
			return
		}
		if _, err := e.At.MarshalJSON(); err != nil || e.ID == "" {
			t.Errorf("accepted %+v: %v", e, err)
		}
		_ = shortenText(160, summarizeEvent(e)) // must not panic on any keywords
	})
}

func FuzzParseSeconds(f *testing.F) {
	for _, seed := range []string{"", "15m", "90", "-1s", "1h0m1s", "1.5s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSeconds(text)
		if err != nil || s > math.MaxInt32 || s < math.MinInt32 {
			return // Check rejects larger values
		}
		if again, err := ParseSeconds(s.String()); err != nil || again != s {
			t.Errorf("%q is %d, written %q and read %d: %v", text, s, s.String(), again, err)
		}
	})
}

func requireRequestError(t *testing.T, err error) {
	t.Helper()
	var f requestError
	if !errors.As(err, &f) || f.text == "" || f.code < 400 || f.code > 499 {
		t.Errorf("error %v is not a request error", err)
	}
}
