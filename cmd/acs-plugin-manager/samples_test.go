package main

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"pluginsupervisor/internal/control"
)

// sample is a package of the recorded command lines.
type sample struct {
	config any // config.json: fields, or its text; nil for none
	script string
	mode   uint32            // of main.sh, 0: 0755
	more   map[string]string // other files
}

const (
	// argumentsScript is the script of "argy"; its output is recorded.
	argumentsScript = "#!/bin/bash\necho \"args=$#\"; for a in \"$@\"; do echo \"<$a>\"; done\n"
	// verbScript is the script of "sh"; its first argument is the command.
	verbScript = `#!/bin/bash
case "$1" in
both) echo out1; echo err1 >&2; echo out2;;
big) head -c 6000000 /dev/zero | tr '\0' x; echo; echo last;;
stdin) echo "in=[$(cat)]";;
sig) kill -9 $$;;
segv) kill -SEGV $$;;
sleep) sleep $2; echo slept;;
rc) exit $2;;
daemon) setsid sleep 3 >/dev/null 2>&1 & echo daemonized;;
--status) exit 0;;
--start) echo started-out; echo started-err >&2;;
*) echo "main $*";;
esac
`
	sleepScript = "#!/bin/bash\nsleep ${1:-1}\n"
)

// sampleConfig returns the config.json of a sample.
func sampleConfig(name, version string, more map[string]any) map[string]any {
	config := map[string]any{
		"name": name, "version": version, "arch": "all", "osType": "linux", "runPath": "main.sh", "timeout": "20",
		"publisher": "lab", "pluginType": "Once", "heartbeatInterval": 10,
	}
	maps.Copy(config, more)
	for k, v := range config {
		if v == nil {
			delete(config, k)
		}
	}
	return config
}

// samplePackages returns the packages of the recorded command lines by file name.
func samplePackages() map[string]sample {
	plain := func(name string, more fields) sample {
		return sample{config: sampleConfig(name, "1.0", more), script: verbScript}
	}
	inFolder, _ := json.Marshal(sampleConfig("top", "1.0", nil))
	atBOM, _ := json.Marshal(sampleConfig("bom", "1.0", nil))
	return map[string]sample{
		"argy_1.0.zip":     {config: sampleConfig("argy", "1.0", nil), script: argumentsScript},
		"argy_2.0.zip":     {config: sampleConfig("argy", "2.0", nil), script: argumentsScript},
		"argy_0.5.zip":     {config: sampleConfig("argy", "0.5", nil), script: argumentsScript},
		"sh_1.0.zip":       plain("sh", nil),
		"psh_1.0.zip":      plain("psh", fields{"pluginType": "Persist"}),
		"shorty_1.0.zip":   plain("shorty", fields{"timeout": "2"}),
		"notime_1.0.zip":   plain("notime", fields{"timeout": ""}),
		"badtime_1.0.zip":  plain("badtime", fields{"timeout": "abc"}),
		"bothos_1.0.zip":   plain("bothos", fields{"osType": "both"}),
		"winos_1.0.zip":    plain("winos", fields{"osType": "windows"}),
		"noexec_1.0.zip":   {config: sampleConfig("noexec", "1.0", nil), script: "echo hi\n", mode: 0o644},
		"modeless_1.0.zip": {config: sampleConfig("modeless", "1.0", nil), script: argumentsScript, mode: 0o644},
		"norun_1.0.zip":    {config: sampleConfig("norun", "1.0", fields{"runPath": "nope.sh"}), script: verbScript},
		"nocfg_1.0.zip":    {script: verbScript},
		"badcfg_1.0.zip":   {config: "{nope", script: verbScript},
		"uni_1.0.zip":      plain("插件", nil),
		"sub_1.0.zip":      {config: sampleConfig("sub", "1.0", fields{"runPath": "bin/run.sh"}), more: map[string]string{"bin/run.sh": verbScript}},
		"top_1.0.zip":      {more: map[string]string{"top/config.json": string(inFolder), "top/main.sh": verbScript}},
		"dotrun_1.0.zip":   plain("dotrun", fields{"runPath": "./main.sh"}),
		"longver.zip":      {config: sampleConfig("lv", "1.0.0.20230101120000-build.77777777777777", nil), script: verbScript},
		"to2h.zip":         {config: sampleConfig("to2h", "1.0", fields{"timeout": "7200"}), script: sleepScript},
		"to0.zip":          {config: sampleConfig("to0", "1.0", fields{"timeout": "0"}), script: sleepScript},
		"toneg.zip":        {config: sampleConfig("toneg", "1.0", fields{"timeout": "-5"}), script: sleepScript},
		"tofl.zip":         {config: sampleConfig("tofl", "1.0", fields{"timeout": "3.5"}), script: sleepScript},
		"strm.zip":         {config: sampleConfig("strm", "1.0", nil), script: "#!/bin/bash\nfor i in 1 2 3; do echo tick $i; sleep 0.1; done\n"},
		"slowst.zip":       {config: sampleConfig("slowst", "1.0", fields{"pluginType": "Persist"}), script: "#!/bin/bash\ncase $1 in --status) sleep 1;; *) echo did $1;; esac\n"},
		"ps1.zip":          {config: sampleConfig("ps1", "1.0", fields{"runPath": "main.ps1"}), more: map[string]string{"main.ps1": "x"}},
		"winzip.zip":       {config: sampleConfig("winzip", "1.0", nil), script: verbScript, mode: withoutMode},
		"dupent.zip":       {config: sampleConfig("dupent", "1.0", nil), script: verbScript, more: map[string]string{"README": "a", "readme": "b"}},
		"nover.zip":        plain("nover", fields{"version": nil}),
		"noname.zip":       plain("noname", fields{"name": nil}),
		"nametilde.zip":    plain("acs@plug", nil),
		"bom.zip":          {config: "\ufeff" + string(atBOM), script: verbScript},
		"arr.zip":          {config: "[]", script: verbScript},
		"blank.zip":        plain("my plugin", fields{"version": "1.0 beta"}),
		"tagged.zip":       plain("tagged", fields{"pluginType": "Persist", "addSysTag": true}),
		"tool_1.0.zip":     plain("tool", nil),
		"alpha_1.0.zip":    plain("alpha", fields{"pluginType": "Persist"}),
		"alpha_2.0.zip":    {config: sampleConfig("alpha", "2.0", fields{"pluginType": "Persist"}), script: verbScript},
		"numver.zip":       {config: sampleConfig("numver", "", fields{"version": 1.1, "timeout": 30}), script: verbScript},
	}
}

// withoutMode stands for an archive without file modes.
const withoutMode = 0xffff

// writeTo writes the package to a file.
func (s sample) writeTo(t testing.TB, path string) {
	t.Helper()
	var entries []zipEntry
	add := func(name string, mode uint32, content string) {
		// A header without a creator, as in the recorded packages.
		h := zip.FileHeader{Name: name, Method: zip.Deflate, ExternalAttrs: mode << 16}
		if mode == withoutMode {
			h.ExternalAttrs = 0x20
		}
		entries = append(entries, zipEntry{h, content})
	}
	if text := s.configText(t); text != "" {
		add("config.json", 0o644, text)
	}
	if s.script != "" {
		add("main.sh", cmp.Or(s.mode, 0o755), s.script)
	}
	for name, content := range s.more {
		add(name, 0o600, content)
	}
	writeZip(t, path, entries...)
}

func (s sample) configText(t testing.TB) string {
	t.Helper()
	switch c := s.config.(type) {
	case nil:
		return ""
	case string:
		return c
	default:
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// samplesHost has the recorded packages as files, and a control plane that lists some
// of them.
type samplesHost struct {
	*fakeControlPlane
	all map[string]sample
}

func newSamplesHost(t *testing.T) *samplesHost {
	h := &samplesHost{all: samplePackages()}
	h.fakeControlPlane = startControlPlane(t, h.listSamples)
	for name, s := range h.all {
		s.writeTo(t, filepath.Join(h.files, name))
	}
	if err := os.WriteFile(filepath.Join(h.files, "notzip.zip"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// listSamples lists packages, the oldest version first.
func (h *samplesHost) listSamples(q control.PackageQuery) []fields {
	found := []fields{}
	for _, file := range []string{"tool_1.0.zip", "alpha_1.0.zip", "alpha_2.0.zip", "tagged.zip"} {
		c := h.all[file].config.(fields)
		if (q.PluginName == "" || q.PluginName == c["name"]) && (q.Version == "" || q.Version == c["version"]) {
			listing := maps.Clone(c)
			maps.Copy(listing, fields{"pluginId": "id-" + file, "isPreInstalled": "no", "publisher": "listed", "timeout": "33"})
			h.addListing(listing, file)
			found = append(found, listing)
		}
	}
	return found
}

// newRoot returns a new root with the installed packages.
func (h *samplesHost) newRoot(t *testing.T, installed ...string) string {
	t.Helper()
	root, err := os.MkdirTemp("", "root") // short: a socket has to fit below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	for _, file := range installed {
		installPlugin(t, root, h.all[file].config.(fields), h.all[file].script)
	}
	return root
}

// invocation returns an invocation of the program on a root.
func (h *samplesHost) invocation(root string, args ...string) invocation {
	return invocation{args: args, environ: newEnviron(root, h.URL)}
}
