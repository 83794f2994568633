package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// The help of each command fits a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	var visit func(path []string, cmd *cobra.Command)
	visit = func(path []string, cmd *cobra.Command) {
		var out bytes.Buffer
		if code := run(context.Background(), append(path, "--help"), &out, &out); code != 0 {
			t.Errorf("%v --help exits %d: %s", path, code, &out)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%v --help has a line of %d columns: %s", path, n, line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(append(path[:len(path):len(path)], sub.Name()), sub)
		}
	}
	visit(nil, newRoot())
}
