package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	table := table{title: "measured"}
	table.addSection("idle")
	table.addLimited("memory", 23.9, 22, "%.1f", "MB")
	table.addLimited("CPU", 0.002, 0.05, "%.4f", "%")
	var out strings.Builder
	if err := table.print(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) < 4 || !strings.Contains(lines[2], "exceeded") || strings.Contains(lines[3], "exceeded") {
		t.Errorf("printed:\n%s", out.String())
	}
}
