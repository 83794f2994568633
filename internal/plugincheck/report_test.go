package plugincheck

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func sampleReport() Report {
	return Report{
		Source: "./agent", Name: "agent", Version: "1.0", Began: time.Unix(1_700_000_000, 0), Seconds: 4.25,
		Rules: []Result{
			{Rule: "package", Title: "hosts accept the package", Outcome: Passed, Seconds: 0.5},
			{
				Rule: "inherited-files", Title: "the daemon closes the files of its starter", Outcome: Failed, Seconds: 1,
				Expected: "no pipe", Got: "process 7 (<a> & \x1b[31m\xff) keeps the pipe of its starter open, which is a long story over two lines", Remedy: "close it: >/dev/null",
			},
			{Rule: "starter-death", Title: "the daemon survives the death of its starter", Outcome: Skipped, Reason: "needs rule inherited-files"},
		},
	}
}

// AP-11: one line a rule, no line above 80 columns, no control character of a
// plugin.
func TestText(t *testing.T) {
	var b strings.Builder
	report := sampleReport()
	for _, r := range report.Rules {
		if err := WriteResult(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteSummary(&b, report); err != nil {
		t.Fatal(err)
	}
	want := `ok    package         hosts accept the package
FAIL  inherited-files the daemon closes the files of its starter
        expected  no pipe
        got       process 7 (<a> & [31m` + "\xff" + `) keeps the pipe of its starter open,
                  which is a long story over two lines
        to do     close it: >/dev/null
skip  starter-death   needs rule inherited-files
agent 1.0: 1 of 3 rules failed, 1 skipped, in 4.2s
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	report.Rules, report.Name = report.Rules[:1], ""
	b.Reset()
	if err := WriteSummary(&b, report); err != nil || b.String() != "./agent: all 1 rules passed, in 4.2s\n" {
		t.Errorf("%q, %v", &b, err)
	}
}

// Each rule is one line when it passes, and is named by letters and dashes.
func TestRulesFitTheLine(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range Rules() {
		var b strings.Builder
		if err := WriteResult(&b, Result{Rule: rule.ID, Title: rule.Title, Outcome: Passed}); err != nil {
			t.Fatal(err)
		}
		if strings.Count(b.String(), "\n") != 1 || utf8.RuneCountInString(b.String()) > 81 || seen[rule.ID] || strings.Trim(rule.ID, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("%q", &b)
		}
		for _, need := range rule.needs {
			if !seen[need] {
				t.Errorf("%s needs %s, which is no rule before it", rule.ID, need)
			}
		}
		seen[rule.ID] = true
	}
}

// AP-11: JUnit XML has the elements and attributes that CI systems read, whatever
// a plugin prints.
func TestJUnit(t *testing.T) {
	var b strings.Builder
	if err := WriteJUnit(&b, sampleReport()); err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="plugin check agent 1.0" tests="3" failures="1" errors="0" skipped="1" time="4.250">
  <testsuite name="plugin check agent 1.0" tests="3" failures="1" errors="0" skipped="1" time="4.250" timestamp="2023-11-14T22:13:20">
    <testcase classname="plugin-check.agent" name="package: hosts accept the package" time="0.500"></testcase>
    <testcase classname="plugin-check.agent" name="inherited-files: the daemon closes the files of its starter" time="1.000">
      <failure message="process 7 (&lt;a&gt; &amp; ?[31m?) keeps the pipe of its starter open, which is a long story over two lines" type="inherited-files">expected: no pipe&#xA;got: process 7 (&lt;a&gt; &amp; ?[31m?) keeps the pipe of its starter open, which is a long story over two lines&#xA;to do: close it: &gt;/dev/null</failure>
    </testcase>
    <testcase classname="plugin-check.agent" name="starter-death: the daemon survives the death of its starter" time="0.000">
      <skipped message="needs rule inherited-files"></skipped>
    </testcase>
  </testsuite>
</testsuites>
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	var any struct{ XMLName xml.Name }
	if err := xml.Unmarshal([]byte(b.String()), &any); err != nil || any.XMLName.Local != "testsuites" {
		t.Errorf("%v, %v", any, err)
	}
}
