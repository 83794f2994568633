package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind is how the values of a key are written and what is allowed. The field
// is a pointer into a Config.
type kind interface {
	// set reads a value. The error is the second half of a sentence that begins
	// with the value.
	set(field any, text string) error
	text(field any) string // as set reads it
	allowed() string
	word() string // what the usage of a flag calls a value
}

// spanKind is a duration.
type spanKind struct{ min, max time.Duration }

func (k spanKind) set(field any, text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("is not a duration")
	case d < k.min:
		return errors.New("is too short")
	case d > k.max:
		return errors.New("is too long")
	}
	*field.(*time.Duration) = d
	return nil
}

// text drops the zeros Go writes: 15m, not 15m0s.
func (spanKind) text(field any) string {
	s := field.(*time.Duration).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (k spanKind) allowed() string {
	return fmt.Sprintf("a number with unit, at least %s and at most %s, such as 90s, 15m or 24h", k.text(&k.min), k.text(&k.max))
}
func (spanKind) word() string { return "duration" }

// sizeKind is a number of bytes.
type sizeKind struct{ min, max Size }

func (k sizeKind) set(field any, text string) error {
	n, err := parseSize(text)
	switch {
	case err != nil:
		return err
	case n < k.min:
		return errors.New("is too small")
	case n > k.max:
		return errors.New("is too large")
	}
	*field.(*Size) = n
	return nil
}

func (sizeKind) text(field any) string { return field.(*Size).String() }
func (k sizeKind) allowed() string {
	return fmt.Sprintf("bytes, or a whole number with KiB, MiB, GiB or TiB, at least %s and at most %s", k.min, k.max)
}
func (sizeKind) word() string { return "size" }

// wholeKind is a whole number.
type wholeKind struct{ min, max int }

func (k wholeKind) set(field any, text string) error {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return errors.New("is not a whole number")
	case n < k.min:
		return errors.New("is too small")
	case n > k.max:
		return errors.New("is too large")
	}
	*field.(*int) = n
	return nil
}

func (wholeKind) text(field any) string { return strconv.Itoa(*field.(*int)) }
func (k wholeKind) allowed() string {
	return fmt.Sprintf("a whole number, at least %d and at most %d", k.min, k.max)
}
func (wholeKind) word() string { return "number" }

// realKind is a number with a fraction.
type realKind struct{ min, max float64 }

func (k realKind) set(field any, text string) error {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || n != n:
		return errors.New("is not a number")
	case n < k.min:
		return errors.New("is too small")
	case n > k.max:
		return errors.New("is too large")
	}
	*field.(*float64) = n
	return nil
}

func (realKind) text(field any) string { return strconv.FormatFloat(*field.(*float64), 'f', -1, 64) }

func (k realKind) allowed() string {
	return fmt.Sprintf("a number, at least %v and at most %v, such as 0.5", k.min, k.max)
}
func (realKind) word() string { return "number" }

// boolKind is yes or no.
type boolKind struct{}

func (boolKind) set(field any, text string) error {
	if text != "true" && text != "false" {
		return errors.New("is neither true nor false")
	}
	*field.(*bool) = text == "true"
	return nil
}

func (boolKind) text(field any) string { return strconv.FormatBool(*field.(*bool)) }
func (boolKind) allowed() string       { return "true or false" }
func (boolKind) word() string          { return "bool" }

// wordKind is one of a few words.
type wordKind []string

func (k wordKind) set(field any, text string) error {
	for _, w := range k {
		if text == w {
			*field.(*string) = w
			return nil
		}
	}
	return errors.New("is none of them")
}

func (wordKind) text(field any) string { return *field.(*string) }
func (k wordKind) allowed() string     { return strings.Join(k, ", ") }
func (wordKind) word() string          { return "word" }

// mapKind stands for what is no single value; file.go reads it.
type mapKind struct{}

func (mapKind) set(any, string) error { return errors.New("can be set in the file only") }
func (mapKind) text(any) string       { return "{}" }
func (mapKind) allowed() string       { return "a section for each plugin, by its name" }
func (mapKind) word() string          { return "map" }
