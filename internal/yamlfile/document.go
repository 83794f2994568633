// Package yamlfile reads YAML files whose keys are known: strictly, each name
// once, and with everything that is wrong in one pass. A Mistake is one line
// that says where, which key, what is wrong and what is allowed.
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

// MaxSize is the longest file that is read, in bytes.
const MaxSize = 1 << 20

// Document is a file being read, with the mistakes found in it.
type Document struct {
	Name     string // what mistakes call the file
	Mistakes []*Mistake
}

// Parse returns what the text of the file holds, nil for nothing or what is no YAML.
func (d *Document) Parse(text []byte) *yaml.Node {
	if len(text) > MaxSize {
		d.Wrong(1, "", fmt.Sprintf("the file is larger than %s", Size(MaxSize)))
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := dec.Decode(&first); err != nil {
		d.syntax(err)
		return nil
	}
	if err := dec.Decode(&second); err != nil {
		d.syntax(err)
	} else {
		d.Wrong(second.Content[0].Line, "", "a second document begins here; allowed: one")
	}
	return first.Content[0]
}

// At returns the place of a line, as mistakes have it.
func (d *Document) At(line int) string { return d.Name + ":" + strconv.Itoa(line) }

// Wrong notes a mistake. A key may be anything that was in the file, and is
// kept to one line.
func (d *Document) Wrong(line int, key, text string) {
	if key = Shorten(key); strings.ContainsFunc(key, func(r rune) bool { return !strconv.IsPrint(r) }) {
		key = strconv.Quote(key)
	}
	d.Mistakes = append(d.Mistakes, &Mistake{Where: d.At(line), Key: key, Text: text})
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax notes an error of the YAML parser; the end of the file is none.
func (d *Document) syntax(err error) {
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

// Section reads a section, "" for the whole file, and the sections in it. all
// are the names of all keys, with dots between sections; value is called with
// each that is there.
func (d *Document) Section(name string, n *yaml.Node, all []string, value func(name string, v *yaml.Node)) {
	prefix := ""
	if name != "" {
		prefix = name + "."
	}
	names := children(all, name)
	d.Pairs(name, n, strings.Join(names, ", "), func(word string, k, v *yaml.Node) {
		whole := prefix + word
		switch {
		case strings.Contains(word, "."): // sections are nested
			d.Unknown(k, whole, names, all)
		case slices.Contains(all, whole):
			value(whole, v)
		case len(children(all, whole)) > 0:
			d.Section(whole, v, all, value)
		default:
			d.Unknown(k, whole, names, all)
		}
	})
}

// children returns the names directly below a section, "" for the top, in order.
func children(all []string, section string) []string {
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

// Pairs hands over what a mapping holds, each name once; allowed says which
// keys it may have. Nothing at all is an empty mapping: a section of which every
// line is commented out.
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

// Unknown says that there is no such key, and which of those allowed here, or of
// all keys, may have been meant.
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

// Value reads the value of a key into a field, and returns its text, for a list
// with commas between its entries.
func (d *Document) Value(name string, k Kind, field any, n *yaml.Node) (text string, ok bool) {
	if text, ok = d.scalar(name, k, n); !ok {
		return "", false
	}
	if err := k.Set(field, text); err != nil {
		d.Wrong(n.Line, name, BadValue(text, err, k))
		return "", false
	}
	return text, true
}

func (d *Document) scalar(name string, k Kind, n *yaml.Node) (text string, ok bool) {
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

// Describe says what stands in the place of something else.
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
