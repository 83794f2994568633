package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"pluginsupervisor/plugin"
)

// setting is a value for a key and where it comes from.
type setting struct {
	key   key
	text  string
	where string
}

// document is what a file says.
type document struct {
	name     string
	settings []setting
	plugins  map[string]Plugin
	limits   map[string]string // where each limit was set, by its whole name
	mistakes []*Mistake
}

// maxFile is the longest file that is read, in bytes.
const maxFile = 1 << 20

// parseFile reads the text of a file; name is what mistakes call it.
func parseFile(name string, text []byte) *document {
	d := &document{name: name, plugins: map[string]Plugin{}, limits: map[string]string{}}
	if len(text) > maxFile {
		d.wrong(1, "", fmt.Sprintf("the file is larger than %s", Size(maxFile)))
		return d
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err := dec.Decode(&first); err != nil {
		d.syntax(err)
		return d
	}
	d.section("", first.Content[0])
	if err := dec.Decode(&second); err != nil {
		d.syntax(err)
	} else {
		d.wrong(second.Content[0].Line, "", "a second document begins here; allowed: one")
	}
	return d
}

func (d *document) at(line int) string { return d.name + ":" + strconv.Itoa(line) }

// wrong notes a mistake. A key may be anything that was in the file, and is
// kept to one line.
func (d *document) wrong(line int, key, text string) {
	if key = shorten(key); strings.ContainsFunc(key, func(r rune) bool { return !strconv.IsPrint(r) }) {
		key = strconv.Quote(key)
	}
	d.mistakes = append(d.mistakes, &Mistake{Where: d.at(line), Key: key, Text: text})
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax notes an error of the YAML parser; the end of the file is none.
func (d *document) syntax(err error) {
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
	d.wrong(line, "", "not YAML: "+text)
}

// section reads the keys of a section, "" for the whole file.
func (d *document) section(name string, n *yaml.Node) {
	prefix := ""
	if name != "" {
		prefix = name + "."
	}
	d.pairs(name, n, children(name), func(word string, k, v *yaml.Node) {
		whole := prefix + word
		switch row, ok := keyNamed(whole); {
		case strings.Contains(word, "."): // sections are nested
			d.unknown(k, whole, word, children(name))
		case ok && row.fileOnly():
			d.pairs(whole, v, nil, d.plugin)
		case ok:
			d.value(row, v)
		case len(children(whole)) > 0:
			d.section(whole, v)
		default:
			d.unknown(k, whole, word, children(name))
		}
	})
}

// pairs hands over what a mapping holds, each name once. Nothing at all is an
// empty mapping: a section of which every line is commented out.
func (d *document) pairs(name string, n *yaml.Node, names []string, each func(word string, k, v *yaml.Node)) {
	allowed := strings.Join(names, ", ")
	switch {
	case isNull(n):
		return
	case n.Kind != yaml.MappingNode:
		if allowed == "" {
			allowed = "a plugin's name"
		}
		d.wrong(n.Line, name, fmt.Sprintf("%s where a section belongs; allowed keys: %s", describe(n), allowed))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.wrong(k.Line, name, describe(k)+" where a key belongs; allowed: a name")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			d.wrong(k.Line, strings.TrimPrefix(name+"."+k.Value, "."), fmt.Sprintf("set again, first in line %d; allowed: once", line))
			continue
		}
		seen[k.Value] = k.Line
		each(k.Value, k, v)
	}
}

// unknown says that there is no such key, and which may have been meant.
func (d *document) unknown(k *yaml.Node, whole, word string, names []string) {
	text := "unknown key;"
	if s := suggest(word, names); s != "" {
		text += fmt.Sprintf(" did you mean %s?", s)
	} else if row, ok := find(func(r key) bool { return r.name == word || strings.HasSuffix(r.name, "."+word) }); ok {
		section, last, nested := strings.Cut(row.name, ".")
		if nested {
			text += fmt.Sprintf(" did you mean %s in section %s?", last, section)
		} else {
			text += fmt.Sprintf(" did you mean %s outside of any section?", row.name)
		}
	}
	d.wrong(k.Line, whole, text+" allowed: "+strings.Join(names, ", "))
}

// value reads one key's value.
func (d *document) value(k key, n *yaml.Node) {
	text, ok := d.scalar(k.name, k.kind, n)
	if !ok {
		return
	}
	if err := k.set(new(Config), text); err != nil {
		d.wrong(n.Line, k.name, badValue(text, err, k.kind))
		return
	}
	d.settings = append(d.settings, setting{k, text, d.at(n.Line)})
}

// scalar is the text of a value, for a list with commas between its entries.
func (d *document) scalar(name string, k kind, n *yaml.Node) (text string, ok bool) {
	_, list := k.(listKind)
	belongs := "value"
	if list {
		belongs = "list"
	}
	switch {
	case list && n.Kind == yaml.SequenceNode:
		var entries []string
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode || isNull(e) || e.Value == "" || strings.Contains(e.Value, ",") {
				d.wrong(e.Line, name, fmt.Sprintf("%s in a list; allowed: %s", describe(e), k.allowed()))
				return "", false
			}
			entries = append(entries, e.Value)
		}
		return strings.Join(entries, ","), true
	case list || n.Kind != yaml.ScalarNode || isNull(n):
		d.wrong(n.Line, name, fmt.Sprintf("%s where a %s belongs; allowed: %s", describe(n), belongs, k.allowed()))
		return "", false
	}
	return n.Value, true
}

// plugin reads what is set for one plugin.
func (d *document) plugin(name string, k, v *yaml.Node) {
	whole := pluginsKey + "." + name
	if err := plugin.CheckName(name); err != nil {
		d.wrong(k.Line, pluginsKey, fmt.Sprintf("%v; allowed: %s", err, plugin.NameRule))
		return
	}
	var p Plugin
	d.pairs(whole, v, []string{"limits"}, func(word string, k, v *yaml.Node) {
		if word != "limits" {
			d.unknown(k, whole+"."+word, word, []string{"limits"})
			return
		}
		d.pairs(whole+".limits", v, limitNames(), func(word string, k, v *yaml.Node) {
			d.limit(&p.Limits, whole+".limits.", word, k, v)
		})
	})
	d.plugins[name] = p
}

func (d *document) limit(into *Limits, prefix, word string, k, v *yaml.Node) {
	for _, l := range limits {
		if l.name != word {
			continue
		}
		text, ok := d.scalar(prefix+word, l.kind, v)
		if !ok {
			return
		}
		if err := l.kind.set(l.field(into), text); err != nil {
			d.wrong(v.Line, prefix+word, badValue(text, err, l.kind))
			return
		}
		d.limits[prefix+word] = d.at(v.Line)
		return
	}
	d.unknown(k, prefix+word, word, limitNames())
}

func limitNames() []string {
	names := make([]string, len(limits))
	for i, l := range limits {
		names[i] = l.name
	}
	return names
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// describe says what stands in the place of something else.
func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "nothing"
	case n.Kind == yaml.ScalarNode:
		return strconv.Quote(shorten(n.Value))
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a section"
	default:
		return "an alias"
	}
}
