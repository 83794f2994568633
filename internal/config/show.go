package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pluginsupervisor/internal/yamlfile"

	"go.yaml.in/yaml/v3"
)

// YAML writes every key with the value in effect, as a file that Load reads
// again. Behind what was set, a comment tells where.
func (c Config) YAML() ([]byte, error) {
	top := section()
	sections := map[string]*yaml.Node{"": top}
	for _, k := range keys {
		name, last, nested := strings.Cut(k.name, ".")
		if !nested {
			name, last = "", k.name
		}
		if sections[name] == nil {
			sections[name] = section()
			add(top, name, sections[name])
		}
		if k.fileOnly() {
			add(sections[name], last, c.pluginsYAML())
			continue
		}
		add(sections[name], last, c.commented(k.name, node(k.kind, k.field(&c))))
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(top); err != nil {
		return nil, fmt.Errorf("write configuration as YAML: %w", err)
	}
	return b.Bytes(), nil
}

func (c *Config) pluginsYAML() *yaml.Node {
	all := section()
	if len(c.Plugins) == 0 {
		all.Style = yaml.FlowStyle // {}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Plugins)) {
		p := c.Plugins[name]
		set := section()
		for _, l := range limits {
			key := pluginsKey + "." + name + ".limits." + l.name
			if c.origins[key] != "" {
				add(set, l.name, c.commented(key, node(l.kind, l.field(&p.Limits))))
			}
		}
		if len(set.Content) == 0 {
			set.Style = yaml.FlowStyle
		}
		one := section()
		add(one, "limits", set)
		add(all, name, one)
	}
	return all
}

func (c *Config) commented(key string, n *yaml.Node) *yaml.Node {
	if at := c.origins[key]; at != "" {
		if strings.ContainsFunc(at, func(r rune) bool { return !strconv.IsPrint(r) }) {
			at = strconv.Quote(at) // a line break would end the comment
		}
		n.LineComment = "from " + at
	}
	return n
}

// node is a value as YAML has it.
func node(k yamlfile.Kind, field any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: k.Text(field)}
	switch k.(type) {
	case yamlfile.Bool:
		n.Tag = "!!bool"
	case yamlfile.Whole:
		n.Tag = "!!int"
	case yamlfile.Real:
		// The text of a whole one is that of an integer; YAML would tag it.
	case yamlfile.List:
		n = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range *field.(*[]string) {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s})
		}
	default:
		n.Tag = "!!str"
	}
	return n
}

func section() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func add(to *yaml.Node, name string, v *yaml.Node) {
	to.Content = append(to.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}, v)
}
