package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recordedCase is one command line of the existing program (version 2.2.3.578).
// FILES stands for a folder with the samples.
type recordedCase struct {
	Args   []string
	Exit   int
	Stdout *string // nil: not recorded
}

// recordedDifferences holds the command lines whose exit code differs from the existing
// program, and why.
var recordedDifferences = map[string]struct {
	exit int
	why  string
}{
	"-e --file FILES/bothos_1.0.zip -p a,b": {0, "osType both means every system (spec, section 1)"},
	"-e --file FILES/top_1.0.zip -p a,b":    {0, "a package in one folder that is named after the plugin is accepted"},
	"-e --file FILES/dupent.zip -p 1":       {236, "names that differ only in case are rejected (CL-13)"},
	"-e --file FILES/nover.zip -p 1":        {238, "a plugin needs a version (ST-15)"},
	"-e --file FILES/noname.zip -p 1":       {238, "a plugin needs a name (ST-15)"},
	"-e --file FILES/bom.zip -p 1":          {0, "a byte order mark before config.json is accepted: editors on Windows write it"},
	"-e --file FILES/arr.zip -p 1":          {237, "config.json is an object (CL-11)"},
}

// installedSamples holds the samples that are installed before a recorded command line.
var installedSamples = []string{"argy_1.0.zip", "sh_1.0.zip", "psh_1.0.zip", "shorty_1.0.zip", "slowst.zip", "tool_1.0.zip"}

// installedBefore returns the samples that were installed when a command line was
// recorded.
func installedBefore(line string) []string {
	switch {
	case line == "-e --local -P psh -p x": // it had been removed
		return slices.DeleteFunc(slices.Clone(installedSamples), func(s string) bool { return s == "psh_1.0.zip" })
	case line == "-e --local -P argy -n 1.0 -p x": // another version was there
		return append(slices.Clone(installedSamples[1:]), "argy_0.5.zip")
	case strings.Contains(line, "alpha 2") || strings.Contains(line, "alpha --pluginVersion 2.0") || line == "-e -P alpha -p --status" || line == "-r -P alpha":
		return append(slices.Clone(installedSamples), "alpha_1.0.zip")
	}
	return installedSamples
}

// TestRecorded runs each recorded command line of the existing program on a new root, and
// checks the table in the documents (CL-15, CL-16, CL-23).
func TestRecorded(t *testing.T) {
	b, err := os.ReadFile("testdata/cli.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []recordedCase
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 138 {
		t.Errorf("%d command lines, 138 were recorded", len(cases))
	}
	h := newSamplesHost(t)
	var lines []string
	t.Run("each", func(t *testing.T) {
		for _, c := range cases {
			line := strings.Join(c.Args, " ")
			lines = append(lines, line)
			want := c.Exit
			if d, differs := recordedDifferences[line]; differs {
				want = d.exit
				if want == c.Exit {
					t.Errorf("recordedDifferences has %s, but the exit code is the same", line)
				}
			}
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				args := slices.Clone(c.Args)
				for i, a := range args {
					args[i] = strings.Replace(a, "FILES", h.files, 1)
				}
				code, stdout, stderr := invoke(t, h.invocation(h.newRoot(t, installedBefore(line)...), args...))
				if code != want || c.Stdout != nil && stdout != *c.Stdout {
					t.Errorf("exit %d, want %d; stdout %.300q, want %.300v; stderr %s", code, want, stdout, c.Stdout, stderr)
				}
			})
		}
	})
	var table strings.Builder
	fmt.Fprintf(&table, "%d command lines were recorded; %d have the exit code of the existing program, and its output where that was recorded. The others:\n\n",
		len(cases), len(cases)-len(recordedDifferences))
	table.WriteString("| arguments | existing | ours | why |\n|---|---|---|---|\n")
	for _, c := range cases {
		line := strings.Join(c.Args, " ")
		if d, differs := recordedDifferences[line]; differs {
			fmt.Fprintf(&table, "| `%s` | %d | %d | %s |\n", strings.ReplaceAll(line, "FILES"+string(filepath.Separator), ""), c.Exit, d.exit, d.why)
		}
	}
	for line := range recordedDifferences {
		if !slices.Contains(lines, line) {
			t.Errorf("recordedDifferences has the unknown command line %s", line)
		}
	}
	compareTable(t, "recorded command lines", table.String())
}
