package plugincheck

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// The elements of JUnit XML as Jenkins, GitLab and GitHub's reporters read it.
type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"time,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
		Skipped *junitSkipped `xml:"skipped"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes a report as JUnit XML: a test suite with a test case for each
// rule.
func WriteJUnit(w io.Writer, r Report) error {
	name := "plugin check " + r.Source
	if r.Name != "" {
		name = "plugin check " + r.Name + " " + r.Version
	}
	suite := junitSuite{
		Name: name, Tests: len(r.Rules), Failures: r.Failed(), Skipped: r.count(Skipped),
		Time: seconds(r.Seconds), Timestamp: r.Began.UTC().Format("2006-01-02T15:04:05"),
	}
	for _, result := range r.Rules {
		c := junitCase{Class: "plugin-check." + strings.ReplaceAll(r.Name, ".", "_"), Name: result.Rule + ": " + result.Title, Time: seconds(result.Seconds)}
		switch result.Outcome {
		case Failed:
			c.Failure = &junitFailure{
				Message: valid(result.Got), Type: result.Rule,
				Text: valid(fmt.Sprintf("expected: %s\ngot: %s\nto do: %s", result.Expected, result.Got, result.Remedy)),
			}
		case Skipped:
			c.Skipped = &junitSkipped{Message: valid(result.Reason)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	suites := junitSuites{
		Name: suite.Name, Tests: suite.Tests, Failures: suite.Failures, Skipped: suite.Skipped, Time: suite.Time, Suite: suite,
	}
	b, err := xml.MarshalIndent(suites, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, b)
	}
	return err
}

func seconds(s float64) string {
	return fmt.Sprintf("%.3f", time.Duration(s*float64(time.Second)).Seconds())
}

// valid returns text without what XML cannot hold.
func valid(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, text)
}
