// Package outbox stores the reports that a command could not deliver, as files in a
// folder that the supervisor reads (CL-20).
//
// A file is one report: <time>-<pid>.json, placed by rename. Only the newest one of a
// plugin stays, and all of them together are at most MaxSize.
package outbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

// MaxSize is the most that all files hold together, in bytes.
const MaxSize = 1 << 20

// maxFile is the size of the largest file that is read, in bytes: more than the longest
// name and version need.
const maxFile = 4 << 10

// reportFile is the content of a file.
type reportFile struct {
	At      time.Time     `json:"at"`
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Status  plugin.Status `json:"status"`
	SysTag  plugin.SysTag `json:"sysTagType,omitempty"`
}

// Report is one report in the outbox.
type Report struct {
	plugin.LateReport
	path string
	size int64
}

// Put adds the status that a plugin had at a time. It keeps the tag of an older
// report of the plugin (SC-17).
func Put(root string, at time.Time, e plugin.ReportEntry) error {
	folder := layout.Outbox(root)
	if err := durable.MakeFolder(folder, 0o750); err != nil {
		return fmt.Errorf("store report in the outbox: %w", err)
	}
	older, err := readReports(folder)
	if err != nil {
		return fmt.Errorf("store report in the outbox: %w", err)
	}
	for _, r := range older {
		if r.Name == e.Name && e.SysTag == plugin.SysTagNone {
			e.SysTag = r.SysTag
		}
	}
	text, err := json.Marshal(reportFile{at, e.Name, e.Version, e.Status, e.SysTag})
	if err == nil {
		name := strconv.FormatInt(at.UnixNano(), 10) + "-" + strconv.Itoa(os.Getpid())
		err = durable.WriteFile(filepath.Join(folder, name+".json"), text, 0o640, nil)
	}
	if err != nil {
		return fmt.Errorf("store report in the outbox: %w", err)
	}
	space := MaxSize - int64(len(text))
	for _, r := range slices.Backward(older) { // the newest first
		if space -= r.size; r.Name == e.Name || space < 0 {
			err = errors.Join(err, r.Remove())
		}
	}
	return err
}

// List returns the newest report of each plugin, the oldest first. It removes all
// other reports, and files that are none.
func List(root string) ([]Report, error) {
	all, err := readReports(layout.Outbox(root))
	if err != nil {
		return nil, fmt.Errorf("read reports in the outbox: %w", err)
	}
	newest := map[string]int{}
	for i, r := range all {
		newest[r.Name] = i
	}
	var kept []Report
	for i, r := range all {
		if newest[r.Name] == i {
			kept = append(kept, r)
			continue
		}
		err = errors.Join(err, r.Remove())
	}
	return kept, err
}

// Remove removes the file of the report.
func (r Report) Remove() error {
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove report from the outbox: %w", err)
	}
	return nil
}

// readReports returns all reports in the folder, the oldest first. It removes a file
// that is none, unless it is being written.
func readReports(folder string) (all []Report, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if !strings.HasSuffix(path, ".json") {
			continue
		}
		text, err := record.ReadRegularFile(path, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var c reportFile
		if err == nil {
			err = json.Unmarshal(text, &c)
		}
		if err != nil || plugin.CheckName(c.Name) != nil || c.Status == plugin.StatusUnknown {
			_ = os.Remove(path) // the next call retries
			continue
		}
		entry := plugin.ReportEntry{Name: c.Name, Version: c.Version, Status: c.Status, SysTag: c.SysTag}
		all = append(all, Report{plugin.LateReport{At: c.At, ReportEntry: entry}, path, int64(len(text))})
	}
	slices.SortStableFunc(all, func(a, b Report) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.path, b.path)) })
	return all, nil
}
