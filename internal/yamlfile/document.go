// Package yamlfile reads YAML files with known keys. It is strict: each key is allowed
// once, and all faults are found in one pass. A Mistake is one line with the place, the
// key, the fault and the allowed values.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the size of the largest file that is read, in bytes.
const MaxSize = 1 << 20

// Document holds a file that is read, and the mistakes in it.
type Document struct {
	Name     string // the name of the file in mistakes
	Mistakes []*Mistake
}

// Parse returns the YAML of the text, nil for none. It adds a mistake for text that is
// not YAML.
func (d *Document) Parse(text []byte) *yaml.Node {
	if len(text) > MaxSize {
		d.Wrong(1, "", fmt.Sprintf("the file is larger than %s", Size(MaxSize)))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := dec.Decode(&first); err != nil {
		d.addSyntaxError(err)
		return nil
	}
	if err := dec.Decode(&second); err != nil {
		d.addSyntaxError(err)
	} else {
		d.Wrong(second.Content[0].Line, "", "a second document begins here; allowed: one")
	}
	return first.Content[0]
}

// At returns the place of a line, FILE:LINE.
func (d *Document) At(line int) string { return d.Name + ":" + strconv.Itoa(line) }

// Wrong adds a mistake. The key may be any text of the file; it is shortened to one line.
func (d *Document) Wrong(line int, key, text string) {
	if key = Shorten(key); strings.ContainsFunc(key, func(r rune) bool { return !strconv.IsPrint(r) }) {
		key = strconv.Quote(key)
	}
	d.Mistakes = append(d.Mistakes, &Mistake{Where: d.At(line), Key: key, Text: text})
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// addSyntaxError adds an error of the YAML parser, except io.EOF.
func (d *Document) addSyntaxError(err error) {
	if errors.Is(err, io.EOF) {
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	m := yamlError.FindStringSubmatch(text)
	line := 1
	if m != nil {
		text = text[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	d.Wrong(line, "", "not YAML: "+text)
}

// Section reads a section, "" for the whole file, and the sections in it. all holds the
// names of all keys, with dots between sections; value is called for each key that is
// set.
func (d *Document) Section(name string, n *yaml.Node, all []string, value func(name string, v *yaml.Node)) {
	prefix := ""
	if name != "" {
		prefix = name + "."
	}
	names := childNames(all, name)
	d.Pairs(name, n, strings.Join(names, ", "), func(word string, k, v *yaml.Node) {
		whole := prefix + word
		switch {
		case strings.Contains(word, "."): // sections are nested
			d.Unknown(k, whole, names, all)
		case slices.Contains(all, whole):
			value(whole, v)
		case len(childNames(all, whole)) > 0:
			d.Section(whole, v, all, value)
		default:
			d.Unknown(k, whole, names, all)
		}
	})
}

// childNames returns the names directly below a section, "" for the whole file.
func childNames(all []string, section string) []string {
	var names []string
	for _, rest := range all {
		if section != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, section+"."); !ok {
				continue
			}
		}
		child, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(names, child) {
			names = append(names, child)
		}
	}
	return names
}

// Pairs calls each for every pair of a mapping, with a mistake for a key that is set
// twice; allowed lists the allowed keys. No value counts as an empty mapping: all lines
// of a section may be commented out.
func (d *Document) Pairs(name string, n *yaml.Node, allowed string, each func(word string, k, v *yaml.Node)) {
	switch {
	case n == nil || isNull(n):
		return
	case n.Kind != yaml.MappingNode:
		d.Wrong(n.Line, name, fmt.Sprintf("%s where a section belongs; allowed keys: %s", Describe(n), allowed))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.Wrong(k.Line, name, Describe(k)+" where a key belongs; allowed: a name")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			d.Wrong(k.Line, strings.TrimPrefix(name+"."+k.Value, "."), fmt.Sprintf("set again, first in line %d; allowed: once", line))
			continue
		}
		seen[k.Value] = k.Line
		each(k.Value, k, v)
	}
}

// Unknown adds a mistake for an unknown key, with a similar key of this section or of
// all keys.
func (d *Document) Unknown(k *yaml.Node, whole string, names, all []string) {
	text := "unknown key;"
	if s := Suggest(k.Value, names); s != "" {
		text += fmt.Sprintf(" did you mean %s?", s)
	} else if i := slices.IndexFunc(all, func(n string) bool { return n == k.Value || strings.HasSuffix(n, "."+k.Value) }); i >= 0 {
		section, last, nested := strings.Cut(all[i], ".")
		if nested {
			text += fmt.Sprintf(" did you mean %s in section %s?", last, section)
		} else {
			text += fmt.Sprintf(" did you mean %s outside of any section?", all[i])
		}
	}
	d.Wrong(k.Line, whole, text+" allowed: "+strings.Join(names, ", "))
}

// Value reads the value of a key into a field. It returns the text of the value, for a
// list with commas between its entries.
func (d *Document) Value(name string, k Kind, field any, n *yaml.Node) (text string, ok bool) {
	if text, ok = d.readScalar(name, k, n); !ok {
		return "", false
	}
	if err := k.Set(field, text); err != nil {
		d.Wrong(n.Line, name, BadValue(text, err, k))
		return "", false
	}
	return text, true
}

func (d *Document) readScalar(name string, k Kind, n *yaml.Node) (text string, ok bool) {
	_, list := k.(List)
	belongs := "value"
	if list {
		belongs = "list"
	}
	switch {
	case list && n.Kind == yaml.SequenceNode:
		var entries []string
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode || isNull(e) || e.Value == "" || strings.Contains(e.Value, ",") {
				d.Wrong(e.Line, name, fmt.Sprintf("%s in a list; allowed: %s", Describe(e), k.Allowed()))
				return "", false
			}
			entries = append(entries, e.Value)
		}
		return strings.Join(entries, ","), true
	case list || n.Kind != yaml.ScalarNode || isNull(n):
		d.Wrong(n.Line, name, fmt.Sprintf("%s where a %s belongs; allowed: %s", Describe(n), belongs, k.Allowed()))
		return "", false
	}
	return n.Value, true
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// Describe returns a description of a value for mistakes.
func Describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "nothing"
	case n.Kind == yaml.ScalarNode:
		return strconv.Quote(Shorten(n.Value))
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a section"
	default:
		return "an alias"
	}
}
