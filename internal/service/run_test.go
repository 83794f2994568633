package service

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

// AP-01: the run record is replaced atomically, and a damaged one is an error.
func TestRunRecord(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRun(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no record: %v", err)
	}
	for _, want := range []plugin.Process{{PID: 7, StartTicks: 1, BootID: "a"}, {PID: 8, StartTicks: 2, BootID: "b"}} {
		if err := WriteRun(dir, want); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadRun(dir); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(dir, layout.ServiceFolder)); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
	for _, text := range []string{"", "{}", `{"pid":-1,"born":2,"boot":"b"}`, "[1]"} {
		if err := os.WriteFile(layout.Run(dir), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if p, err := ReadRun(dir); err == nil {
			t.Errorf("%q is read as %+v", text, p)
		}
	}
}
