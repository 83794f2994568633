package yamlfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Kind defines the text and the allowed values of a key. The field is a pointer to a
// value.
type Kind interface {
	// Set parses the text into the field. The error continues a sentence that begins
	// with the text: "is too short".
	Set(field any, text string) error
	Text(field any) string // in the form of Set
	Allowed() string
	Word() string // the name of a value in the usage of a flag
}

// Span is the kind of a duration.
type Span struct{ Min, Max time.Duration }

func (k Span) Set(field any, text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return errors.New("is not a duration")
	case d < k.Min:
		return errors.New("is too short")
	case d > k.Max:
		return errors.New("is too long")
	}
	*field.(*time.Duration) = d
	return nil
}

// Text returns the duration without trailing zeros: 15m, not 15m0s.
func (Span) Text(field any) string {
	s := field.(*time.Duration).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (k Span) Allowed() string {
	return fmt.Sprintf("a number with unit, at least %s and at most %s, such as 90s, 15m or 24h", k.Text(&k.Min), k.Text(&k.Max))
}
func (Span) Word() string { return "duration" }

// SizeRange is the kind of a number of bytes.
type SizeRange struct{ Min, Max Size }

func (k SizeRange) Set(field any, text string) error {
	n, err := ParseSize(text)
	switch {
	case err != nil:
		return err
	case n < k.Min:
		return errors.New("is too small")
	case n > k.Max:
		return errors.New("is too large")
	}
	*field.(*Size) = n
	return nil
}

func (SizeRange) Text(field any) string { return field.(*Size).String() }
func (k SizeRange) Allowed() string {
	return fmt.Sprintf("bytes, or a whole number with KiB, MiB, GiB or TiB, at least %s and at most %s", k.Min, k.Max)
}
func (SizeRange) Word() string { return "size" }

// Whole is the kind of a whole number.
type Whole struct{ Min, Max int }

func (k Whole) Set(field any, text string) error {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return errors.New("is not a whole number")
	case n < k.Min:
		return errors.New("is too small")
	case n > k.Max:
		return errors.New("is too large")
	}
	*field.(*int) = n
	return nil
}

func (Whole) Text(field any) string { return strconv.Itoa(*field.(*int)) }
func (k Whole) Allowed() string {
	return fmt.Sprintf("a whole number, at least %d and at most %d", k.Min, k.Max)
}
func (Whole) Word() string { return "number" }

// Real is the kind of a number with a fraction.
type Real struct{ Min, Max float64 }

func (k Real) Set(field any, text string) error {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || n != n:
		return errors.New("is not a number")
	case n < k.Min:
		return errors.New("is too small")
	case n > k.Max:
		return errors.New("is too large")
	}
	*field.(*float64) = n
	return nil
}

func (Real) Text(field any) string { return strconv.FormatFloat(*field.(*float64), 'f', -1, 64) }

func (k Real) Allowed() string {
	return fmt.Sprintf("a number, at least %v and at most %v, such as 0.5", k.Min, k.Max)
}
func (Real) Word() string { return "number" }

// Bool is the kind of true or false.
type Bool struct{}

func (Bool) Set(field any, text string) error {
	if text != "true" && text != "false" {
		return errors.New("is neither true nor false")
	}
	*field.(*bool) = text == "true"
	return nil
}

func (Bool) Text(field any) string { return strconv.FormatBool(*field.(*bool)) }
func (Bool) Allowed() string       { return "true or false" }
func (Bool) Word() string          { return "bool" }

// Word is the kind of one of a few words.
type Word []string

func (k Word) Set(field any, text string) error {
	for _, w := range k {
		if text == w {
			*field.(*string) = w
			return nil
		}
	}
	return errors.New("is none of them")
}

func (Word) Text(field any) string { return *field.(*string) }
func (k Word) Allowed() string     { return strings.Join(k, ", ") }
func (Word) Word() string          { return "word" }

// List is the kind of a list of texts; outside the file they have commas between them.
type List struct {
	Check func(entries []string) error // may be nil
	Rule  string                       // the rule of Check, for Allowed
}

func (k List) Set(field any, text string) error {
	var list []string
	for s := range strings.SplitSeq(text, ",") {
		s = strings.TrimSpace(s)
		if s == "" && text != "" {
			return errors.New("holds an empty entry")
		}
		if s != "" {
			list = append(list, s)
		}
	}
	if k.Check != nil {
		if err := k.Check(list); err != nil {
			return err
		}
	}
	*field.(*[]string) = list
	return nil
}

func (List) Text(field any) string { return strings.Join(*field.(*[]string), ",") }
func (k List) Allowed() string {
	return k.Rule + "texts without commas; outside the file with commas between them"
}
func (List) Word() string { return "list" }
