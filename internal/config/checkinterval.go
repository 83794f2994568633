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

// checkIntervalKeys are the keys of the file of the existing product that sets
// intervals, see layout.CheckIntervals (TM-06).
var checkIntervalKeys = map[string]string{
	"pluginHealthScanInterval":  "intervals.scan",
	"pluginHealthPullInterval":  "intervals.pull",
	"pluginUpdateCheckInterval": "intervals.update",
	"pluginListReportInterval":  "intervals.inventory",
}

// maxCheckInterval is how much of it is read, in bytes.
const maxCheckInterval = 64 << 10

// readCheckInterval reads the file below root, if there is one. It is not ours
// and never prevents the start: what is wrong is skipped with a warning.
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

// parseCheckInterval reads key=seconds pairs with commas between them; a line
// break does as well. Of a key that is given twice the last one counts.
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

// describeCause is what is behind an error of the file system, without the path.
func describeCause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
