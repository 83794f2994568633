package yamlfile

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Tree holds the keys of a file to write. The zero value is empty.
type Tree struct {
	top      *yaml.Node
	sections map[string]*yaml.Node
}

// Put adds a key; the section of its name ends with a dot.
func (t *Tree) Put(name string, v *yaml.Node) {
	if t.top == nil {
		t.top, t.sections = NewSection(), map[string]*yaml.Node{}
	}
	section, last, nested := strings.Cut(name, ".")
	if !nested {
		Add(t.top, name, v)
		return
	}
	if t.sections[section] == nil {
		t.sections[section] = NewSection()
		Add(t.top, section, t.sections[section])
	}
	Add(t.sections[section], last, v)
}

// Encode returns the text of the file.
func (t *Tree) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(t.top); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Node returns the YAML of a value.
func Node(k Kind, field any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: k.Text(field)}
	switch k.(type) {
	case Bool:
		n.Tag = "!!bool"
	case Whole:
		n.Tag = "!!int"
	case Real:
		// No tag: the text of a whole number is that of an integer, and would be tagged.
	case List:
		n = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range *field.(*[]string) {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s})
		}
	default:
		n.Tag = "!!str"
	}
	return n
}

// NewSection returns an empty section.
func NewSection() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

// Add adds a key to a section.
func Add(to *yaml.Node, name string, v *yaml.Node) {
	to.Content = append(to.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, v)
}
