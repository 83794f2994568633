package record

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

// field is one member of a JSON object, its value as it was written.
type field struct {
	key   string
	value json.RawMessage
}

// decodeObject returns the members of a JSON object, in their order. Callers compare
// keys without regard to case, as encoding/json does, and so the programs that share
// the file.
func decodeObject(b []byte) ([]field, error) {
	b = asUTF8(b)
	if !json.Valid(b) {
		return nil, fmt.Errorf("%w: not JSON%s", ErrMalformed, whereNotJSON(b))
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	var fields []field
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		f := field{key: key.(string)} // the next token in an object is a key
		if err := dec.Decode(&f.value); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// asUTF8 returns text without its byte order mark, and in UTF-8 where the mark means
// UTF-16: editors under Windows write both.
func asUTF8(b []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\ufeff")):
		return b[len("\ufeff"):]
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return b
	}
	if len(b)%2 != 0 {
		return b // truncated: not JSON
	}
	var units []uint16
	for rest := b[2:]; len(rest) > 0; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

// whereNotJSON returns where text stops being JSON, in words.
func whereNotJSON(b []byte) string {
	var syntax *json.SyntaxError
	var value any
	if err := json.Unmarshal(b, &value); !errors.As(err, &syntax) {
		return ""
	}
	read := b[:min(max(int(syntax.Offset)-1, 0), len(b))]
	return fmt.Sprintf(" in line %d: %v", bytes.Count(read, []byte("\n"))+1, syntax)
}

// lenient reads values by the rules of SPEC 1. err is about the first one that fits
// no rule; its value is the zero value.
type lenient struct{ err error }

func (l *lenient) failField(f field, wanted string) {
	if l.err == nil {
		l.err = fmt.Errorf("%w: %s is %.40s, not %s", ErrMalformed, f.key, f.value, wanted)
	}
}

// readText reads a string, a number as it was written, true, false or null.
func (l *lenient) readText(f field) string {
	switch f.value[0] {
	case '"':
		var s string
		if err := json.Unmarshal(f.value, &s); err != nil {
			l.failField(f, "text")
		}
		return s
	case '{', '[':
		l.failField(f, "text")
		return ""
	case 'n':
		return ""
	default:
		return string(f.value)
	}
}

// readInteger reads a number or a string that holds one, without its fraction; an
// empty one is 0.
func (l *lenient) readInteger(f field) int {
	s := strings.TrimSpace(l.readText(f))
	if s == "" {
		return 0
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(math.Abs(n) <= math.MaxInt32) { // written so that NaN fails as well
		l.failField(f, "a number")
		return 0
	}
	return int(n)
}

// readBoolean reads true or false, also as a string, or a number that is not 0.
func (l *lenient) readBoolean(f field) bool {
	switch s := strings.ToLower(strings.TrimSpace(l.readText(f))); s {
	case "true":
		return true
	case "false", "":
		return false
	default:
		return l.readInteger(f) != 0
	}
}
