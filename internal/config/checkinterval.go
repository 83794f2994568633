package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/yamlfile"
)

// checkIntervalKeys maps the keys of the existing product's file of intervals, see
// layout.CheckIntervals, to ours (TM-06).
var checkIntervalKeys = map[string]string{
	"pluginHealthScanInterval":  "intervals.scan",
	"pluginHealthPullInterval":  "intervals.pull",
	"pluginUpdateCheckInterval": "intervals.update",
	"pluginListReportInterval":  "intervals.inventory",
}

// maxCheckInterval bounds how much of the file is read, in bytes.
const maxCheckInterval = 64 << 10

// readCheckInterval reads the file below root, if it exists. Another program writes
// it, so it never prevents the start: a malformed part is skipped with a warning.
func readCheckInterval(root string) ([]setting, []Warning) {
	path := layout.CheckIntervals(root)
	// Without O_NONBLOCK a pipe in the file's place would block for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, []Warning{{Where: path, Text: "ignored: " + describeCause(err)}}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCheckInterval))
	if err != nil {
		return nil, []Warning{{Where: path, Text: "ignored: " + describeCause(err)}}
	}
	return parseCheckInterval(path, string(text))
}

// parseCheckInterval parses key=seconds pairs, separated by commas or line breaks.
// The last pair of a key wins.
func parseCheckInterval(path, text string) ([]setting, []Warning) {
	var set []setting
	var warnings []Warning
	for pair := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		s, why := parsePair(pair)
		if why != "" {
			warnings = append(warnings, Warning{Where: path, Text: fmt.Sprintf("%q skipped: %s", yamlfile.Shorten(pair), why)})
			continue
		}
		s.where = path
		set = append(set, s)
	}
	return set, warnings
}

// parsePair parses key=seconds. why is "" if it is valid.
func parsePair(pair string) (s setting, why string) {
	name, seconds, ok := strings.Cut(pair, "=")
	name, seconds = strings.TrimSpace(name), strings.TrimSpace(seconds)
	k, known := findKeyNamed(checkIntervalKeys[name])
	switch {
	case !ok:
		return s, "not key=seconds"
	case !known:
		return s, "no such key"
	case seconds == "" || strings.Trim(seconds, "0123456789") != "":
		return s, "not a whole number of seconds"
	}
	text := seconds + "s"
	if err := k.setText(new(Config), text); err != nil {
		return s, err.Error()
	}
	return setting{key: k, text: text}, ""
}

// describeCause returns the text of a file system error without the path.
func describeCause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
