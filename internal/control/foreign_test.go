package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"pluginsupervisor/plugin"
)

// callEndpoints sends one request to each of the four endpoints and returns the errors.
func callEndpoints(ctx context.Context, c *Client) map[string]error {
	_, reportErr := c.Report(ctx, oneReport())
	_, updateErr := c.CheckUpdates(ctx, nil)
	_, listErr := c.ListPackages(ctx, "a", "")
	return map[string]error{
		"report": reportErr, "update check": updateErr, "list": listErr, "event": c.Send(ctx, plugin.Event{ID: "e"}),
	}
}

// SC-26: a web page is not the control plane's answer, at each of the four
// endpoints.
func TestWebPageIsAnError(t *testing.T) {
	const html = "text/html; charset=utf-8"
	for name, page := range map[string]struct {
		kind, body string
		foreign    bool
	}{
		"SC-26 a page":                  {html, "<html>log in</html>", true},
		"SC-26 a page sent as JSON":     {"application/json", "<!DOCTYPE html>", true},
		"SC-26 a page after blanks":     {"text/plain", "\r\n\t <html>", true},
		"SC-26 a page after a BOM":      {"text/plain", "\ufeff<html>", true},
		"SC-26 text sent as a page":     {"Text/HTML", "please log in", true},
		"SC-26 a page that is too long": {"", "<html>" + strings.Repeat("x", MaxAnswer), true},
		"SC-19 JSON sent as a page":     {html, "{}", false},
		"SC-19 nothing sent as a page":  {html, " ", false},
		"SC-19 text":                    {"text/plain", "ok", false},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", page.kind)
				_, _ = io.WriteString(w, page.body)
			})
			for call, err := range callEndpoints(t.Context(), newClient(t, Config{URL: server.URL})) {
				if errors.Is(err, ErrForeignAnswer) != page.foreign {
					t.Errorf("%s: error %v, want ErrForeignAnswer: %v", call, err, page.foreign)
				}
			}
		})
	}
}

// SC-26: a redirect is followed by no endpoint, and its error names where it
// points to, without what may be a secret.
func TestRedirectNamesItsTarget(t *testing.T) {
	elsewhere, strayed := startServer(t, answerWith(200, "{}"))
	server, _ := startServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", strings.Replace(elsewhere.URL, "//", "//me:secret@", 1)+"/new?session=secret")
		w.WriteHeader(http.StatusMovedPermanently)
	})
	for call, err := range callEndpoints(t.Context(), newClient(t, Config{URL: server.URL})) {
		says := "control plane answered 301, it points to " + elsewhere.URL + "/new; set control_plane.url"
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %q", call, err, says)
		}
		var refusal *plugin.HTTPError
		if !errors.As(err, &refusal) || refusal.IsFinal() {
			t.Errorf("%s: error %v is not tried again", call, err)
		}
	}
	expectNoRequest(t, strayed)
}

// SC-19: an answer that breaks off after its status counts as delivered.
func TestBrokenAnswerIsDelivered(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"SC-19 cut short": closeMidway,
		"SC-19 too long":  answerWith(200, "{}"+strings.Repeat(" ", MaxAnswer)),
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := startServer(t, handler)
			c := newClient(t, Config{URL: server.URL})
			answer, err := c.Report(t.Context(), oneReport())
			if err != nil || answer.ParseErr == nil {
				t.Errorf("answer %+v, error %v", answer, err)
			}
			if err := c.Send(t.Context(), plugin.Event{ID: "e"}); err != nil {
				t.Errorf("event: %v", err)
			}
			if _, err := c.CheckUpdates(t.Context(), nil); err == nil {
				t.Error("an update check without an answer succeeded")
			}
		})
	}
}
