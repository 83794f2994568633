package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/plugin"
)

// TestRefusals checks SC-20 for every call: any status but 2xx is a refusal. Its
// Retry-After is returned (SC-17).
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		code       int
		retryAfter string
		want       plugin.HTTPError
		final      bool
	}{
		"SC-20 bad request":          {400, "", plugin.HTTPError{Code: 400}, true},
		"SC-20 unauthorized":         {401, "", plugin.HTTPError{Code: 401}, true},
		"SC-20 not found":            {404, "", plugin.HTTPError{Code: 404}, true},
		"SC-20 request timeout":      {408, "", plugin.HTTPError{Code: 408}, false},
		"SC-20 server error":         {500, "", plugin.HTTPError{Code: 500}, false},
		"SC-20 not modified":         {304, "", plugin.HTTPError{Code: 304}, false},
		"SC-17 too many, in seconds": {429, "120", plugin.HTTPError{Code: 429, RetryAfter: 2 * time.Minute}, false},
		"SC-17 too many, by date":    {429, "Wed, 21 Oct 2015 07:28:00 GMT", plugin.HTTPError{Code: 429, RetryAfter: 30 * time.Second}, false},
		"SC-17 not there":            {503, "7", plugin.HTTPError{Code: 503, RetryAfter: 7 * time.Second}, false},
		"SC-17 not a time":           {503, "later", plugin.HTTPError{Code: 503}, false},
	} {
		t.Run(name, func(t *testing.T) {
			server, got := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", "Wed, 21 Oct 2015 07:27:30 GMT")
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(test.code)
				io.WriteString(w, `{"code":0,"scanInterval":900}`)
			})
			c := newClient(t, Config{URL: server.URL})
			_, reportErr := c.Report(t.Context(), oneReport())
			_, updateErr := c.CheckUpdates(t.Context(), nil)
			for call, err := range map[string]error{
				"report": reportErr, "update check": updateErr, "event": c.Send(t.Context(), plugin.Event{ID: "e"}),
			} {
				var refusal *plugin.HTTPError
				if !errors.As(err, &refusal) {
					t.Fatalf("%s: error %v, want a *plugin.HTTPError", call, err)
				}
				if diff := cmp.Diff(test.want, *refusal); diff != "" {
					t.Errorf("%s, wanted (-), got (+):\n%s", call, diff)
				}
				if refusal.IsFinal() != test.final {
					t.Errorf("%s: final is %v, want %v", call, refusal.IsFinal(), test.final)
				}
				<-got
			}
			expectNoRequest(t, got)
		})
	}
}

// SC-20: a redirect is not followed, so the token is not sent to another server.
func TestRedirectIsARefusal(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		elsewhere, strayed := startServer(t, answerWith(200, "{}"))
		server, _ := startServer(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, code)
		})
		_, err := newClient(t, Config{URL: server.URL}).Report(t.Context(), oneReport())
		var refusal *plugin.HTTPError
		if !errors.As(err, &refusal) || refusal.Code != code {
			t.Errorf("redirect %d: error %v, want a refusal with this code", code, err)
		}
		expectNoRequest(t, strayed)
	}
}

// The body of a refusal is in the debug log, cut to maxQuote, and in no error.
func TestRefusalIsQuotedInADebugLog(t *testing.T) {
	server, _ := startServer(t, answerWith(400, "no such plugin: "+strings.Repeat("x", 1000)))
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	c, err := New(Config{URL: server.URL}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(t.Context(), plugin.Event{ID: "e"}); err == nil || strings.Contains(err.Error(), "no such plugin") {
		t.Errorf("error %v", err)
	}
	entry := hook.LastEntry()
	if entry == nil || entry.Level != logrus.DebugLevel {
		t.Fatalf("last log entry %+v, want one at debug level", entry)
	}
	if quote, _ := entry.Data["answer"].(string); len(quote) != maxQuote || !strings.HasPrefix(quote, "no such plugin") {
		t.Errorf("log quotes %q, want the first %d bytes", quote, maxQuote)
	}
}

// The status alone makes a refusal, also when the body does not end in time.
func TestRefusalWithIncompleteBody(t *testing.T) {
	server, _ := startServer(t, stallBody(503))
	ctx, cancel := context.WithCancel(t.Context())
	network := &http.Transport{}
	c := newClient(t, Config{URL: server.URL, Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
		defer cancel() // the headers are there, the body is not
		return network.RoundTrip(r)
	})})
	_, err := c.Report(ctx, oneReport())
	var refusal *plugin.HTTPError
	if !errors.As(err, &refusal) || refusal.Code != 503 {
		t.Errorf("error %v", err)
	}
}
