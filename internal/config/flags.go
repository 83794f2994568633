package config

import (
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"
)

// flagAliases maps flags to their second names.
var flagAliases = map[string]string{"admin-socket": "socket"}

// AddFlags adds a flag for each named key, or for every key when none is named. It
// panics for a name that is not a key. Load checks the values of the flags.
func AddFlags(fs *pflag.FlagSet, names ...string) {
	defaults := Default()
	for _, name := range names {
		if _, ok := findKeyNamed(name); !ok {
			panic("config: no such key: " + name)
		}
	}
	for _, k := range keys {
		if k.isFileOnly() || len(names) > 0 && !slices.Contains(names, k.name) {
			continue
		}
		v := &flagText{text: k.formatValue(&defaults), word: k.kind.Word()}
		f := fs.VarPF(v, k.flagName(), "", k.help)
		if v.word == "bool" {
			f.NoOptDefVal = "true"
		}
		if alias, ok := flagAliases[k.flagName()]; ok {
			fs.Var(v, alias, "Same as --"+k.flagName()+".")
		}
	}
}

// flagText is a flag that keeps its text.
type flagText struct{ text, word string }

func (f *flagText) String() string     { return f.text }
func (f *flagText) Set(s string) error { f.text = s; return nil }
func (f *flagText) Type() string       { return f.word }

// readFlags returns the settings of the flags that were given. Relative paths are
// resolved from the current folder.
func readFlags(fs *pflag.FlagSet) []setting {
	if fs == nil {
		return nil
	}
	var given []setting
	for _, k := range keys {
		for _, name := range []string{k.flagName(), flagAliases[k.flagName()]} {
			f := fs.Lookup(name)
			if name == "" || f == nil || !f.Changed {
				continue
			}
			text := f.Value.String()
			if k.isPath() && text != "" && text != ManagerNative {
				if abs, err := filepath.Abs(text); err == nil {
					text = abs
				}
			}
			given = append(given, setting{k, text, "--" + name})
		}
	}
	return given
}
