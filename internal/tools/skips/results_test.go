package main

import (
	"strings"
	"testing"
)

func FuzzParseResults(f *testing.F) {
	f.Add(`{"Action":"skip","Package":"p","Test":"TestA"}`)
	f.Add(`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: why\n"}` + "\n" + `{"Action":"skip","Package":"p","Test":"TestA"}`)
	f.Add(`{"Action":`)
	f.Fuzz(func(t *testing.T, s string) {
		results, err := parseResults(strings.NewReader(s))
		if (err == nil) != (len(results) > 0) {
			t.Errorf("%d tests, %v", len(results), err)
		}
	})
}

func TestParseResultsKeepsTheReason(t *testing.T) {
	results, err := parseResults(strings.NewReader(`{"Action":"run","Package":"pluginsupervisor/plugin","Test":"TestA"}
{"Action":"output","Package":"pluginsupervisor/plugin","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"pluginsupervisor/plugin","Test":"TestA","Output":"    a_test.go:7: needs root: no\n"}
{"Action":"output","Package":"pluginsupervisor/plugin","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"pluginsupervisor/plugin","Test":"TestA"}
{"Action":"pass","Package":"pluginsupervisor/plugin","Test":"TestB"}
{"Action":"skip","Package":"pluginsupervisor/cmd"}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := results[test{"./plugin", "TestA"}]; !got.skipped || got.reason != "a_test.go:7: needs root: no" {
		t.Errorf("TestA: %+v", got)
	}
	if got, ok := results[test{"./plugin", "TestB"}]; !ok || got.skipped || len(results) != 2 {
		t.Errorf("TestB: %+v of %+v", got, results)
	}
}
