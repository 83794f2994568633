package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"

	"pluginsupervisor/plugin"
)

// A line of the journal is an Entry as a JSON object whose first field is the
// CRC-32C, in 8 hex digits, of the object without that field:
//
//	{"sum":"5f2c91a0","seq":7,"at":…}
const (
	sumBefore = `{"sum":"`
	sumAfter  = `",`
	sumLength = len(sumBefore) + 8 + len(sumAfter)
)

// encodeLine is the line of an entry, with the line's end.
func encodeLine(e plugin.Entry) ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // people look for "<" with grep
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode entry %d: %w", e.Seq, err)
	}
	return summed(body.Bytes()), nil
}

// summed puts the checksum into an object that ends with a line end.
func summed(body []byte) []byte {
	line := make([]byte, 0, sumLength+len(body))
	line = fmt.Appendf(line, "%s%08x%s", sumBefore, lineSum(bytes.TrimSuffix(body, []byte("\n"))), sumAfter)
	return append(line, body[1:]...)
}

// decodeLine reads a line without its end; false for a damaged one.
func decodeLine(line []byte) (plugin.Entry, bool) {
	if len(line) <= sumLength || !bytes.HasPrefix(line, []byte(sumBefore)) {
		return plugin.Entry{}, false
	}
	body := append([]byte{'{'}, line[sumLength:]...)
	want := fmt.Appendf(nil, "%s%08x%s", sumBefore, lineSum(body), sumAfter)
	var e plugin.Entry
	if !bytes.HasPrefix(line, want) || json.Unmarshal(body, &e) != nil {
		return plugin.Entry{}, false
	}
	return e, true
}

func lineSum(body []byte) uint32 { return crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) }

// chunk is how much of a journal is read at once, in bytes: the newest entries
// are asked for most, and reading them must not make the supervisor large.
const chunk = 64 << 10

// backwards calls each with the lines in the first size bytes of r, the last
// one first, until it returns false. What is behind the last line's end is no
// line: somebody is writing it, or died while writing it.
func backwards(r io.ReaderAt, size int64, each func(line []byte) bool) error {
	var rest []byte // the end of a line whose beginning is not read yet
	whole := false  // a line's end was seen behind rest
	for end := size; end > 0; {
		start := max(0, end-chunk)
		b := make([]byte, end-start, int(end-start)+len(rest))
		n, err := r.ReadAt(b, start)
		if err != nil && err != io.EOF { // a torn end may have been cut meanwhile
			return fmt.Errorf("read journal: %w", err)
		}
		b = append(b[:n], rest...)
		for {
			i := bytes.LastIndexByte(b, '\n')
			if i < 0 {
				break
			}
			if whole && !each(b[i+1:]) {
				return nil
			}
			b, whole = b[:i], true
		}
		rest, end = b, start
	}
	if whole {
		each(rest)
	}
	return nil
}
