package logfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// mark is the first line of a log from which output was removed.
type mark struct {
	dropped int64 // bytes, since the file was created
	moving  bool  // the content is being moved: the following bytes are not in order
}

const (
	markBegin  = "--- supervisor: "
	markDrop   = " bytes of older output were dropped here, "
	markMoving = "more are being dropped"
	markLast   = "the last at "
	markMax    = 4 << 10 // maximum length of a mark line
	dropMax    = 1 << 60 // limits marks that a plugin printed
)

// formatLine returns the mark as a line. It overwrites the beginning of follows and
// ends at a line break of it, if there is one near.
func (m mark) formatLine(follows []byte, now time.Time) []byte {
	what := markLast + now.UTC().Format(time.RFC3339)
	if m.moving {
		what = markMoving
	}
	text := fmt.Sprintf("%s%d%s%s ---", markBegin, m.dropped, markDrop, what)
	if end := bytes.IndexByte(follows[min(len(text), len(follows)):], '\n'); end > 0 {
		text += strings.Repeat("-", end)
	}
	return append([]byte(text), '\n')
}

// writeMark overwrites the bytes at an offset with the mark.
func writeMark(f *os.File, m mark, offset int64) error {
	follows := make([]byte, markMax)
	n, err := f.ReadAt(follows, offset)
	if err != nil && err != io.EOF {
		return fmt.Errorf("read log: %w", err)
	}
	if _, err := f.WriteAt(m.formatLine(follows[:n], time.Now()), offset); err != nil {
		return fmt.Errorf("mark log: %w", err)
	}
	return nil
}

// readMark returns the mark of a file, the zero mark if it has none.
func readMark(f io.ReaderAt) (mark, error) {
	var b [len(markBegin) + 20 + len(markDrop) + len(markMoving)]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return mark{}, fmt.Errorf("read log: %w", err)
	}
	rest, ok := bytes.CutPrefix(b[:n], []byte(markBegin))
	number, rest, drop := bytes.Cut(rest, []byte(markDrop))
	dropped, err := strconv.ParseInt(string(number), 10, 64)
	if !ok || !drop || err != nil || dropped < 0 || dropped > dropMax {
		return mark{}, nil
	}
	return mark{dropped, bytes.HasPrefix(rest, []byte(markMoving))}, nil
}
