package control

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/plugin"
)

func TestReportAnswers(t *testing.T) {
	normal, lazy := plugin.ReportNormal, plugin.ReportLazy
	full := plugin.Answer{
		ScanInterval: 15 * time.Minute, PullInterval: 5 * time.Minute, RefreshInterval: time.Minute, ReportMode: &lazy,
	}
	warned := full
	warned.Code = 7
	notUnderstood := plugin.Answer{ParseErr: plugin.ErrUnreadableAnswer}
	const rest = `"scanInterval":900,"pullInterval":300,"refreshInterval":60,"reportType":1}`
	for name, test := range map[string]struct {
		status int
		body   string
		want   plugin.Answer
	}{
		"all fields":                       {200, `{"instanceId":"i-1","code":0,` + rest, full},
		"another 2xx":                      {202, `{"code":0,` + rest, full},
		"unknown keys":                     {200, `{"requestId":{"a":[1]},` + rest, full},
		"no fields":                        {200, `{}`, plugin.Answer{}},
		"null counts as absent":            {200, `{"code":null,"scanInterval":null,"reportType":null}`, plugin.Answer{}},
		"SC-23 normal":                     {200, `{"reportType":0}`, plugin.Answer{ReportMode: &normal}},
		"SC-23 another value":              {200, `{"reportType":2}`, plugin.Answer{}},
		"SC-24 other fields used":          {200, `{"code":7,` + rest, warned},
		"SC-19 empty":                      {200, "", notUnderstood},
		"SC-19 no content":                 {204, "", notUnderstood},
		"SC-19 not an object":              {200, `["scanInterval",900]`, notUnderstood},
		"SC-19 cut short":                  {200, `{"scanInterval":900`, notUnderstood},
		"SC-19 two answers":                {200, `{"scanInterval":900}{}`, notUnderstood},
		"SC-19 interval in a string":       {200, `{"scanInterval":900,"pullInterval":"300"}`, notUnderstood},
		"SC-19 interval with a fraction":   {200, `{"pullInterval":300,"scanInterval":0.5}`, notUnderstood},
		"SC-19 interval in an object":      {200, `{"pullInterval":300,"scanInterval":{}}`, notUnderstood},
		"SC-19 code in a string":           {200, `{"scanInterval":900,"code":"0"}`, notUnderstood},
		"SC-19 report type is a bool":      {200, `{"scanInterval":900,"reportType":true}`, notUnderstood},
		"SC-19 instance id is a number":    {200, `{"scanInterval":900,"instanceId":1}`, notUnderstood},
		"TM-04 negative":                   {200, `{"scanInterval":-1}`, plugin.Answer{ScanInterval: -time.Second}},
		"TM-04 more than a Duration holds": {200, `{"pullInterval":9223372037}`, plugin.Answer{PullInterval: math.MaxInt64}},
		"TM-04 all of 64 bits":             {200, `{"pullInterval":9223372036854775807}`, plugin.Answer{PullInterval: math.MaxInt64}},
		"TM-04 more than 64 bits":          {200, `{"scanInterval":99999999999999999999}`, plugin.Answer{ScanInterval: math.MaxInt64}},
		"TM-04 less than 64 bits":          {200, `{"scanInterval":-99999999999999999999}`, plugin.Answer{ScanInterval: math.MinInt64}},
		"SC-19 too long":                   {200, strings.Repeat(" ", MaxAnswer-1) + "{}", notUnderstood},
		"the longest answer":               {200, strings.Repeat(" ", MaxAnswer-2) + "{}", plugin.Answer{}},
	} {
		t.Run(name, func(t *testing.T) {
			server, got := startServer(t, answerWith(test.status, test.body))
			answer, err := newClient(t, Config{URL: server.URL}).Report(t.Context(), oneReport())
			if err != nil {
				t.Fatalf("not delivered: %v", err)
			}
			if diff := cmp.Diff(test.want, answer, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
			<-got
			expectNoRequest(t, got)
		})
	}
}

func TestUpdateAnswers(t *testing.T) {
	offer := func(timeout time.Duration) plugin.Updates {
		return plugin.Updates{Changes: []plugin.Change{{Name: "a", Version: "2.0", Timeout: timeout}}}
	}
	for name, test := range map[string]struct {
		body string
		want plugin.Updates
		err  error
	}{
		"two in order": {
			`{"instanceId":"i","nextInterval":1801,"plugin":[{"name":"b","version":"2","timeout":5},{"name":"a","version":"1","timeout":7}]}`,
			plugin.Updates{NextInterval: 1801 * time.Second, Changes: []plugin.Change{
				{Name: "b", Version: "2", Timeout: 5 * time.Second}, {Name: "a", Version: "1", Timeout: 7 * time.Second},
			}},
			nil,
		},
		"nothing offered":            {`{"plugin":[]}`, plugin.Updates{}, nil},
		"no fields":                  {`{}`, plugin.Updates{}, nil},
		"UP-06 no timeout":           {`{"plugin":[{"name":"a","version":"2.0"}]}`, offer(time.Minute), nil},
		"UP-06 timeout 0":            {`{"plugin":[{"name":"a","version":"2.0","timeout":0}]}`, offer(time.Minute), nil},
		"UP-06 negative timeout":     {`{"plugin":[{"name":"a","version":"2.0","timeout":-3}]}`, offer(time.Minute), nil},
		"UP-06 an hour":              {`{"plugin":[{"name":"a","version":"2.0","timeout":3600}]}`, offer(time.Hour), nil},
		"UP-06 more than an hour":    {`{"plugin":[{"name":"a","version":"2.0","timeout":3601}]}`, offer(time.Minute), nil},
		"UP-06 more than 64 bits":    {`{"plugin":[{"name":"a","version":"2.0","timeout":1` + strings.Repeat("0", 30) + `}]}`, offer(time.Minute), nil},
		"SC-26 a page":               {"<html>", plugin.Updates{}, ErrForeignAnswer},
		"UP-04 empty":                {"", plugin.Updates{}, plugin.ErrUnreadableAnswer},
		"UP-04 timeout in a string":  {`{"nextInterval":9,"plugin":[{"name":"a","version":"2.0","timeout":"60"}]}`, plugin.Updates{}, plugin.ErrUnreadableAnswer},
		"UP-04 plugin is not a list": {`{"nextInterval":9,"plugin":{"name":"a"}}`, plugin.Updates{}, plugin.ErrUnreadableAnswer},
		"UP-04 version is a number":  {`{"nextInterval":9,"plugin":[{"name":"a","version":2.0}]}`, plugin.Updates{}, plugin.ErrUnreadableAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := startServer(t, answerWith(200, test.body))
			updates, err := newClient(t, Config{URL: server.URL}).CheckUpdates(t.Context(), []plugin.Plugin{{Name: "a", Version: "1.0"}})
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, updates); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

// The body of the answer to an event is ignored when the status is 2xx.
func TestEventAnswers(t *testing.T) {
	for _, body := range []string{"", "{}", "ok", "{", strings.Repeat("x", 2*MaxAnswer)} {
		server, _ := startServer(t, answerWith(200, body))
		if err := newClient(t, Config{URL: server.URL}).Send(t.Context(), plugin.Event{ID: "e"}); err != nil {
			t.Errorf("body %q: error %v, want none", body, err)
		}
	}
}
