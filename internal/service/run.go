package service

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// maxRun is the largest run record that is read, in bytes.
const maxRun = 4 << 10

// ReadRun returns the process of the last start of the program in the version folder
// dir, which may have exited. The error wraps fs.ErrNotExist when there is no record.
func ReadRun(dir string) (plugin.Process, error) {
	text, err := record.ReadRegularFile(layout.Run(dir), maxRun)
	if err != nil {
		return plugin.Process{}, fmt.Errorf("read run record: %w", err)
	}
	var p plugin.Process
	if err := json.Unmarshal(text, &p); err != nil {
		return plugin.Process{}, fmt.Errorf("read run record: %w", err)
	}
	if p.PID <= 0 || p.StartTicks == 0 || p.BootID == "" {
		return plugin.Process{}, fmt.Errorf("read run record: no process in %.100q", text)
	}
	return p, nil
}

// WriteRun records the process of the program atomically. It is called before the first
// instruction of the program (AP-01). The record does not need to survive a power
// failure: no process does.
func WriteRun(dir string, p plugin.Process) error {
	path := layout.Run(dir)
	text, err := json.Marshal(p)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o750)
	}
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err == nil {
		err = os.WriteFile(temp, append(text, '\n'), 0o640)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("write run record: %w", err)
	}
	return nil
}
