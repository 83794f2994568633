// Package plugincheck tests whether a plugin keeps the plugin contract (SPEC 2,
// AP-11). It installs the plugin in a temporary root and runs it through every
// stage: install, start, stop, kill -9, restart, upgrade, remove. Each Rule gives
// one Result: passed, failed with what to do, or skipped.
//
// The package has no code of its own for what a host does. It installs with
// packages install and native, runs the verbs with native and process, finds the
// plugin's processes with a process.Tracker, and reads heartbeats with package
// heartbeat. So a plugin that passes works on a host. It needs neither root nor
// cgroups.
//
// Nothing is left when Run returns, also when its context ended: the plugin's
// processes are killed, the root is removed.
package plugincheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/plugin"
)

// Outcome says how a rule ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is the result of one rule.
type Result struct {
	Rule     string  `json:"rule"`  // ID
	Title    string  `json:"title"` // the statement that is true when the rule passes
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason,omitempty"`   // of a skipped rule
	Expected string  `json:"expected,omitempty"` // this and the next two: of a failed rule
	Got      string  `json:"got,omitempty"`
	Remedy   string  `json:"remedy,omitempty"`
	Seconds  float64 `json:"seconds"`
}

// Report is the result of a check.
type Report struct {
	Source  string      `json:"source"` // folder or package
	Name    string      `json:"name"`   // this and the next two: "" or zero when the package is not acceptable
	Version string      `json:"version"`
	Type    plugin.Type `json:"type"`
	Passed  bool        `json:"passed"` // no rule failed
	Rules   []Result    `json:"rules"`
	Began   time.Time   `json:"began"`
	Seconds float64     `json:"seconds"`

	Package *pkgcheck.Package `json:"-"` // nil when it is not acceptable
}

// Failed returns the number of failed rules.
func (r Report) Failed() int { return r.count(Failed) }

func (r Report) count(o Outcome) (n int) {
	for _, result := range r.Rules {
		if result.Outcome == o {
			n++
		}
	}
	return n
}

// Options says what is checked. Source is needed.
type Options struct {
	Source string // a plugin's folder or a package file
	// Progress is called with each result as soon as it is known; nil: it is not.
	Progress func(Result)
	// Subreaper allows to make this process the parent of the plugin's orphans, and
	// to kill all of them at the end: also those that have cleared their environment.
	// It is for a process that has no other children.
	Subreaper bool
}

// Run checks a plugin. The error says why the check itself could not be made; a
// plugin that breaks a rule is no error.
func Run(ctx context.Context, o Options) (report Report, err error) {
	report = Report{Source: o.Source, Began: time.Now()}
	s, err := newSubject(o)
	if err != nil {
		return report, fmt.Errorf("prepare the check: %w", err)
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	for _, rule := range Rules() {
		began := time.Now()
		v, err := s.apply(ctx, rule, report.Rules)
		if ctx.Err() != nil {
			return report, fmt.Errorf("check cut short: %w", context.Cause(ctx))
		}
		if err != nil {
			return report, fmt.Errorf("check %s: %w", rule.ID, err)
		}
		result := Result{
			Rule: rule.ID, Title: rule.Title, Outcome: v.outcome, Reason: v.reason,
			Expected: v.expected, Got: v.got, Remedy: v.remedy, Seconds: time.Since(began).Seconds(),
		}
		report.Rules = append(report.Rules, result)
		if s.pkg != nil {
			c := s.pkg.Config
			report.Package, report.Name, report.Version, report.Type = s.pkg, c.Name, c.Version, c.Type
		}
		if o.Progress != nil {
			o.Progress(result)
		}
	}
	report.Passed = report.Failed() == 0
	report.Seconds = time.Since(report.Began).Seconds()
	return report, nil
}

// apply runs one rule, unless there is a reason to skip it.
func (s *subject) apply(ctx context.Context, rule Rule, before []Result) (verdict, error) {
	if !s.applies(rule) {
		return skip(fmt.Sprintf("not for plugins of type %v", s.pkg.Config.Type)), nil
	}
	for _, r := range before {
		if slices.Contains(rule.needs, r.Rule) && r.Outcome != Passed && !s.inapplicable[r.Rule] {
			return skip("needs rule " + r.Rule), nil
		}
	}
	return rule.check(ctx, s)
}

// applies reports whether a rule is about plugins of the type of this one.
func (s *subject) applies(rule Rule) bool {
	if s.pkg == nil || len(rule.types) == 0 || slices.Contains(rule.types, s.pkg.Config.Type) {
		return true
	}
	s.inapplicable[rule.ID] = true
	return false
}

// verdict is what a rule found out.
type verdict struct {
	outcome               Outcome
	reason                string
	expected, got, remedy string
}

func pass() (verdict, error) { return verdict{outcome: Passed}, nil }

// passUnless returns a passed verdict, or the error.
func passUnless(err error) (verdict, error) {
	if err != nil {
		return verdict{}, err
	}
	return pass()
}

func skip(reason string) verdict { return verdict{outcome: Skipped, reason: reason} }

func fail(expected, got, remedy string) (verdict, error) {
	return verdict{outcome: Failed, expected: expected, got: got, remedy: remedy}, nil
}
