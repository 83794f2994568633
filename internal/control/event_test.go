package control

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pluginsupervisor/plugin"
)

func TestEventWithoutKeywords(t *testing.T) {
	e, err := newEvent(Common{}, plugin.Event{ID: "e", At: time.UnixMilli(1)})
	if err != nil {
		t.Fatal(err)
	}
	want := Event{
		EventID: "e", Category: "PLUGIN", EventLevel: "INFO", EventTime: 1, Keywords: "{}",
		Common: `{"arch":"","instanceId":"","osVersion":"","virtualType":"","distribution":"","kernelVersion":""}`,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

// The server can decode any output of a plugin from both layers of JSON.
func TestEventKeywordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keywords := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "keywords")
		e, err := newEvent(Common{InstanceID: "i"}, plugin.Event{ID: "e", Keywords: keywords})
		if err != nil {
			t.Fatal(err)
		}
		sent, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var event Event
		var common Common
		var words map[string]string
		for _, layer := range []struct {
			from string
			into any
		}{{string(sent), &event}, {e.Common, &common}, {e.Keywords, &words}} {
			if err := json.Unmarshal([]byte(layer.from), layer.into); err != nil {
				t.Fatal(err)
			}
		}
		if event != e || common.InstanceID != "i" {
			t.Fatalf("event %+v was decoded as %+v with %+v", e, event, common)
		}
		if diff := cmp.Diff(keywords, words); diff != "" {
			t.Fatalf("keywords sent (-), decoded (+):\n%s", diff)
		}
	})
}
