package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"pluginsupervisor/internal/yamlfile"

	"github.com/spf13/pflag"
)

// Sources names the sources of a configuration. The zero value stands for the
// defaults and BASE/config/PluginCheckInterval.
type Sources struct {
	File      string         // the YAML file; "" for none
	FileNamed bool           // the file must exist
	Environ   []string       // in the form of os.Environ
	Flags     *pflag.FlagSet // parsed, with the flags of AddFlags; may be nil
	Settings  []Setting      // of a program that embeds the supervisor
}

// Setting is the value of a key that a program sets.
type Setting struct {
	Key, Text string
	Where     string // for errors, such as the name of a function
}

// resolveSettings returns the settings of a program, and a mistake for each unknown
// key.
func resolveSettings(given []Setting) (set []setting, mistakes []*yamlfile.Mistake) {
	for _, s := range given {
		k, ok := findKeyNamed(s.Key)
		if !ok {
			text := fmt.Sprintf("%q is not a key of the configuration", s.Key)
			if near := yamlfile.Suggest(s.Key, listKeyNames()); near != "" {
				text += fmt.Sprintf("; did you mean %s?", near)
			}
			mistakes = append(mistakes, &yamlfile.Mistake{Where: s.Where, Text: text})
			continue
		}
		set = append(set, setting{k, s.Text, s.Where})
	}
	return set, mistakes
}

// Load reads the sources, each overriding the one before: defaults,
// PluginCheckInterval (TM-06), file, environment, flags, settings. The error joins a
// *yamlfile.Mistake for each mistake, also of an overridden value; then the
// configuration is empty.
func Load(src Sources) (Config, []Warning, error) {
	doc := readFile(src)
	environment, warnings := readEnvironment(src.Environ)
	program, unknown := resolveSettings(src.Settings)
	given := slices.Concat(doc.settings, environment, readFlags(src.Flags), program)

	c := Default()
	c.origins = map[string]string{}
	mistakes := append(doc.Mistakes, unknown...)
	for _, s := range given { // the root first: PluginCheckInterval is below it
		if s.key.name == "root" {
			_ = s.key.setText(&c, s.text)
		}
	}
	intervals, odd := readCheckInterval(c.Root)
	warnings = append(warnings, odd...)
	for _, s := range slices.Concat(intervals, given) {
		if err := s.key.setText(&c, s.text); err != nil {
			mistakes = append(mistakes, &yamlfile.Mistake{Where: s.where, Text: yamlfile.BadValue(s.text, err, s.key.kind)})
			continue
		}
		c.origins[s.key.name] = s.where
	}
	c.Plugins = doc.plugins
	for name, where := range doc.limits {
		c.origins[name] = where
	}
	if len(mistakes) == 0 {
		mistakes = c.findConflicts()
	}
	if err := yamlfile.Join(mistakes); err != nil {
		return Config{}, warnings, err
	}
	return c, append(warnings, c.findOddities()...), nil
}

// readFile reads the YAML file, if it exists.
func readFile(src Sources) *document {
	if src.File == "" {
		return parseFile("", nil)
	}
	text, err := readBounded(src.File)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !src.FileNamed:
		return parseFile(src.File, nil)
	case err != nil:
		return &document{Document: yamlfile.Document{Mistakes: []*yamlfile.Mistake{{Where: src.File, Text: "cannot read the configuration: " + describeCause(err)}}}}
	}
	return parseFile(src.File, text)
}

// readBounded reads a file up to one byte more than is allowed.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, yamlfile.MaxSize+1))
}
