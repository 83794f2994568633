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

// encodeLine returns the line of an entry, with its line break.
func encodeLine(e plugin.Entry) ([]byte, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // so that grep finds "<"
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("encode entry %d: %w", e.Seq, err)
	}
	return addChecksum(body.Bytes()), nil
}

// addChecksum adds the checksum to an object that ends with a line break.
func addChecksum(body []byte) []byte {
	line := make([]byte, 0, sumLength+len(body))
	line = fmt.Appendf(line, "%s%08x%s", sumBefore, lineChecksum(bytes.TrimSuffix(body, []byte("\n"))), sumAfter)
	return append(line, body[1:]...)
}

// decodeLine decodes a line without its line break; false for a damaged one.
func decodeLine(line []byte) (plugin.Entry, bool) {
	if len(line) <= sumLength || !bytes.HasPrefix(line, []byte(sumBefore)) {
		return plugin.Entry{}, false
	}
	body := append([]byte{'{'}, line[sumLength:]...)
	want := fmt.Appendf(nil, "%s%08x%s", sumBefore, lineChecksum(body), sumAfter)
	var e plugin.Entry
	if !bytes.HasPrefix(line, want) || json.Unmarshal(body, &e) != nil {
		return plugin.Entry{}, false
	}
	return e, true
}

func lineChecksum(body []byte) uint32 { return crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) }

// chunkSize is the amount of the journal that is read at once, in bytes. Most
// requests want only the newest entries, and memory must stay small.
const chunkSize = 64 << 10

// readBackwards calls each with the lines in the first size bytes of r, the last
// one first, until it returns false. Bytes behind the last line break are not a
// line: a process is writing them, or was killed meanwhile.
func readBackwards(r io.ReaderAt, size int64, each func(line []byte) bool) error {
	var rest []byte // the end of a line whose beginning is not read yet
	whole := false  // a line break was found behind rest
	for end := size; end > 0; {
		start := max(0, end-chunkSize)
		b := make([]byte, end-start, int(end-start)+len(rest))
		n, err := r.ReadAt(b, start)
		if err != nil && err != io.EOF { // an incomplete line may have been cut off meanwhile
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
