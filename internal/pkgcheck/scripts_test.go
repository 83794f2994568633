package pkgcheck_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
)

// AP-11: a package says by which interpreters its programs are run.
func TestScripts(t *testing.T) {
	wrapped := func(text string) []pkgchecktest.Entry {
		return pkgchecktest.Wrapped("command: [bin/script]", pkgchecktest.Entry{Name: "bin/script", Mode: 0o100755, Body: text})
	}
	shim := pkgcheck.Script{Name: "plugin-shim", Interpreter: "/bin/sh"}
	for text, want := range map[string][]pkgcheck.Script{
		"#!/bin/sh":                             {shim, {Name: "bin/script", Interpreter: "/bin/sh"}},
		"#! /usr/bin/env\tpython3 -u\nimport":   {shim, {Name: "bin/script", Interpreter: "/usr/bin/env", Argument: "python3 -u"}},
		"#!/usr/bin/perl -w \t\n# CR LF is\r\n": {shim, {Name: "bin/script", Interpreter: "/usr/bin/perl", Argument: "-w"}},
		"\x7fELF":                               {shim},
		"":                                      {shim},
	} {
		z := pkgchecktest.Zip(t, wrapped(text)...)
		p, err := pkgcheck.Check(bytes.NewReader(z), int64(len(z)), pkgcheck.Limits{})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, p.Scripts); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}
