package pkgchecktest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"pluginsupervisor/internal/pkgcheck"
)

// Refusal is a package that breaks one rule of pkgcheck, with the default limits.
type Refusal struct {
	Name    string // begins with the ID of the rule
	Package []byte
	Reason  pkgcheck.Reason
	Says    string // a part of the refusal
}

// Refusals returns a package for each rule.
func Refusals(t testing.TB) []Refusal {
	t.Helper()
	return slices.Concat(badEntries(t), badContents(t), badConfigs(t), badServices(t))
}

// Words returns the error of pkgcheck for a package, with the default limits. Host and
// control plane must refuse the package in these words.
func Words(t testing.TB, z []byte) string {
	t.Helper()
	p, err := pkgcheck.Check(bytes.NewReader(z), int64(len(z)), pkgcheck.Limits{})
	if err == nil {
		err = p.CheckContent(t.Context())
	}
	return fmt.Sprint(err)
}

// badEntries returns packages with a bad entry, or with too many.
func badEntries(t testing.TB) (all []Refusal) {
	header := func(change func(*zip.FileHeader)) []Entry {
		return []Entry{{Name: "b", Mode: 0o100644, Header: change}}
	}
	for _, r := range []struct {
		name string
		more []Entry
		says string
	}{
		{"dot dot", []Entry{{Name: "../b"}}, `package entry "../b": leaves the package`},
		{"dot dot inside", []Entry{{Name: "c/../../b"}}, "leaves the package"},
		{"dot", []Entry{{Name: "./b"}}, "has an empty part"},
		{"two slashes", []Entry{{Name: "b//c"}}, "has an empty part"},
		{"no name", []Entry{{Name: "/"}}, "has no name"},
		{"absolute", []Entry{{Name: "/etc/b"}}, "is an absolute path"},
		{"backslash", []Entry{{Name: `..\b`}}, "holds a backslash"},
		{"NUL", []Entry{{Name: "b\x00c"}}, "holds a control character"},
		{"control character", []Entry{{Name: "b\x1b[2Jc"}}, "holds a control character"},
		{"not UTF-8", []Entry{{Name: "b\xff"}}, "is not UTF-8"},
		{"40 folders deep", []Entry{{Name: strings.Repeat("d/", 40) + "b"}}, "41 folders deep, at most 32 allowed"},
		{"path of 2,080 bytes", []Entry{{Name: strings.Repeat(strings.Repeat("d", 207)+"/", 10)}}, "name of 2080 bytes, at most 1024 allowed"},
		{"part of 256 bytes", []Entry{{Name: strings.Repeat("d", 256)}}, "a part of 256 bytes, at most 255 allowed"},
		{"symlink", []Entry{{Name: "b", Mode: 0o120777, Body: "/etc"}}, "is a link, device or other special file"},
		{"hard link of PKWARE", header(func(h *zip.FileHeader) { h.Extra = append([]byte{0x0d, 0, 14, 0}, make([]byte, 14)...) }), "is a hard link"},
		{"hard link of ASi", header(func(h *zip.FileHeader) { h.Extra = append([]byte{0x6e, 0x75, 16, 0}, make([]byte, 16)...) }), "is a hard link"},
		{"device", []Entry{{Name: "b", Mode: 0o060644}}, "is a link, device or other special file"},
		{"fifo", []Entry{{Name: "b", Mode: 0o010644}}, "is a link, device or other special file"},
		{"socket", []Entry{{Name: "b", Mode: 0o140644}}, "is a link, device or other special file"},
		{"setuid", []Entry{{Name: "b", Mode: 0o104755}}, "is setuid, setgid or sticky"},
		{"setgid", []Entry{{Name: "b", Mode: 0o102755}}, "is setuid, setgid or sticky"},
		{"sticky folder", []Entry{{Name: "b/", Mode: 0o041777}}, "is setuid, setgid or sticky"},
		{"folder by its mode only", []Entry{{Name: "b", Mode: 0o040755}}, "a file by its name and a folder by its mode"},
		{"folder with contents", []Entry{{Name: "b/", Header: func(h *zip.FileHeader) { h.Method, h.UncompressedSize64 = zip.Store, 1 }}}, "is a folder with contents"},
		{"file twice", []Entry{{Name: "bin/run", Mode: 0o100755}}, `"bin/run": is there twice`},
		{"file in other case", []Entry{{Name: "bin/RUN", Mode: 0o100755}}, `"bin/RUN": differs from "bin/run" only in case`},
		{"folder in other case", []Entry{{Name: "lib/a"}, {Name: "Lib/b"}}, `"Lib/b": differs from "lib" only in case`},
		{"file used as a folder", []Entry{{Name: "bin/run/b"}}, `file "bin/run" is used as a folder`},
		{"folder with the name of a file", []Entry{{Name: "bin/run/"}}, `file "bin/run" is used as a folder`},
		{"file with the name of a folder", []Entry{{Name: "bin", Mode: 0o100644}}, `"bin": is there twice`},
		{"encrypted", header(func(h *zip.FileHeader) { h.Flags |= 1 }), "is encrypted"},
		{"unknown method", header(func(h *zip.FileHeader) { h.Method = 99 }), "unknown method 99"},
		{"a file of 600 MiB", header(func(h *zip.FileHeader) { h.UncompressedSize64 = 600 << 20 }), "unpacks to more than 536870912 bytes"},
		{"a size that overflows", append(header(func(h *zip.FileHeader) { h.UncompressedSize64 = 1<<64 - 1 }), Entry{Name: "c", Body: "c"}), "unpacks to more than 536870912 bytes"},
		{"a bomb of 200 MiB", []Entry{{Name: "b", Body: deflated(t, strings.Repeat("\x00", 1<<20), 200), Header: func(h *zip.FileHeader) {
			h.UncompressedSize64 = 200 << 20
		}}}, "more than 200 times as many"},
		{"10,001 entries", manyEntries(9_999, ""), "package has 10001 entries, at most 10000 allowed"},
		{"too many folders", manyEntries(400, strings.Repeat("/d", 30)), "more than 10000 folders"},
		{"a huge list of entries", manyEntries(100, strings.Repeat("n", 60_000)), "more than 10000 entries: central directory is too large"},
	} {
		all = append(all, Refusal{"CL-13 " + r.name, Zip(t, Agent(r.more...)...), pkgcheck.BadEntry, r.says})
	}
	return append(all, Refusal{"CL-13 no entries", Zip(t), pkgcheck.BadEntry, "package is empty"})
}

// manyEntries returns n entries whose names have that suffix.
func manyEntries(n int, end string) (all []Entry) {
	for i := range n {
		all = append(all, Entry{Name: fmt.Sprint(i, end)})
	}
	return all
}

// badContents returns packages whose list of entries is good.
func badContents(t testing.TB) []Refusal {
	zeros := deflated(t, strings.Repeat("\x00", 1<<20), 3)
	whole := Zip(t, Agent()...)
	stored := func(name, body string) Entry {
		return Entry{Name: name, Mode: 0o100755, Body: body, Header: func(h *zip.FileHeader) {
			h.Method, h.UncompressedSize64, h.CRC32 = zip.Store, uint64(len(body)), 1
		}}
	}
	return []Refusal{
		{"CL-11 HTML", []byte("<!DOCTYPE html><title>Sign in</title>"), pkgcheck.NotZip, "package is not a zip file"},
		{"CL-11 truncated", whole[:len(whole)-30], pkgcheck.NotZip, "package is not a zip file"},
		{"CL-13 more than it declares", Zip(t, Agent(Entry{Name: "b", Mode: 0o100644, Body: zeros, Header: func(h *zip.FileHeader) {
			h.UncompressedSize64 = 1
		}})...), pkgcheck.BadEntry, `package entry "b": `},
		{"CL-13 less than it declares", Zip(t, Agent(Entry{Name: "b", Mode: 0o100644, Body: deflated(t, "b", 1), Header: func(h *zip.FileHeader) {
			h.UncompressedSize64 = 2
		}})...), pkgcheck.BadEntry, `package entry "b": unexpected EOF`},
		{"CL-13 damaged", Zip(t, Agent(stored("b", "text"))...), pkgcheck.BadEntry, `package entry "b": zip: checksum error`},
		{"CL-13 not deflated", Zip(t, Agent(Entry{Name: "b", Mode: 0o100644, Body: "\xff\xff", Header: func(h *zip.FileHeader) {
			h.UncompressedSize64 = 2
		}})...), pkgcheck.BadEntry, `package entry "b": flate: corrupt input`},
		{"CL-13 damaged config.json", Zip(t, stored("config.json", agentConfig())), pkgcheck.BadEntry, `package entry "config.json": zip: checksum error`},
	}
}

// badConfigs returns packages whose config.json, or a file that it names, is not
// acceptable.
func badConfigs(t testing.TB) (all []Refusal) {
	with := func(old, new string) []Entry { return Package(strings.Replace(agentConfig(), old, new, 1)) }
	script := func(text string) []Entry {
		return []Entry{{Name: "config.json", Mode: 0o100644, Body: agentConfig()}, {Name: "bin/run", Mode: 0o100755, Body: text}}
	}
	for name, c := range map[string]struct{ text, says string }{
		"first line in CR LF":      {"#!/bin/sh\r\necho\r\n", "package is not acceptable: bin/run: its first line ends in CR LF"},
		"interpreter not absolute": {"#! bin/sh -e\n", `package is not acceptable: bin/run: its interpreter "bin/sh" is not an absolute path`},
		"no interpreter":           {"#! \t\n", "package is not acceptable: bin/run: its first line names no interpreter"},
	} {
		all = append(all, Refusal{"AP-11 " + name, Zip(t, script(c.text)...), pkgcheck.NotAcceptable, c.says})
	}
	for _, r := range []struct {
		name    string
		entries []Entry
		reason  pkgcheck.Reason
		says    string
	}{
		{"no config.json", Agent()[1:], pkgcheck.NotAcceptable, "package has no config.json"},
		{"config.json a folder", append(Agent()[1:], Entry{Name: "config.json/"}), pkgcheck.NotAcceptable, "package has no config.json"},
		{"config.json not JSON", Package("name=agent"), pkgcheck.BadConfig, "package has a bad config.json: decode config.json: malformed: not JSON"},
		{"config.json a list", Package("[]"), pkgcheck.BadConfig, "not a JSON object"},
		{"config.json of another shape", Package(`{"name":{}}`), pkgcheck.BadConfig, "name is {}"},
		{"config.json too large", []Entry{{Name: "config.json", Body: agentConfig() + strings.Repeat(" ", 1<<20), Store: true}}, pkgcheck.BadConfig, "package has a bad config.json: more than 1048576 bytes"},
		{"no name", with("agent", ""), pkgcheck.NotAcceptable, "package is not acceptable: config.json: name: empty"},
		{"name a path", with("agent", "../agent"), pkgcheck.NotAcceptable, "config.json: name: "},
		{"no version", with("1.0", ""), pkgcheck.NotAcceptable, "config.json: version: empty"},
		{"version a path", with("1.0", "1/0"), pkgcheck.NotAcceptable, "config.json: version: "},
		{"no runPath", with("bin/run", ""), pkgcheck.NotAcceptable, "config.json: no runPath"},
		{"runPath leaves", with("bin/run", "../run"), pkgcheck.NotAcceptable, `runPath "../run" leaves the package`},
		{"runPath absolute", with("bin/run", "/bin/sh"), pkgcheck.NotAcceptable, `runPath "/bin/sh" leaves the package`},
		{"unknown os", with("linux", "plan9"), pkgcheck.NotAcceptable, `osType "plan9" is none of both, linux`},
		{"unknown arch", with("x64", "amd64"), pkgcheck.NotAcceptable, `arch "amd64" is none of all, x64`},
		{"no executable", Agent()[:1], pkgcheck.NotAcceptable, `package lacks its executable "bin/run"`},
		{"executable a folder", with("bin/run", "bin"), pkgcheck.NotAcceptable, `executable "bin" of the package is not a file`},
		{"Commander without axt-commander.json", commander(), pkgcheck.NotAcceptable, "package of type Commander has no axt-commander.json"},
		{"axt-commander.json not JSON", commander(Entry{Name: "axt-commander.json", Body: "pidFile=p"}), pkgcheck.BadConfig, "package has a bad axt-commander.json: decode axt-commander.json: malformed: not JSON"},
		{"axt-commander.json of another shape", commander(Entry{Name: "axt-commander.json", Body: `{"pidFile":{}}`}), pkgcheck.BadConfig, "pidFile is {}"},
		{"another folder on top", below("other", Agent()), pkgcheck.NotAcceptable, `package has folder "other" on top, which is not named after agent 1.0`},
	} {
		all = append(all, Refusal{"CL-11 " + r.name, Zip(t, r.entries...), r.reason, r.says})
	}
	return all
}

// Wrapped returns the entries of the package agent 1.0 whose executable is our
// shim, with that service.yaml, and more.
func Wrapped(service string, more ...Entry) []Entry {
	return append([]Entry{
		{Name: "config.json", Mode: 0o100644, Body: strings.Replace(agentConfig(), "bin/run", "plugin-shim", 1)},
		{Name: "plugin-shim", Mode: 0o100755, Body: "#!/bin/sh\n"},
		{Name: "service.yaml", Mode: 0o100644, Body: service},
		{Name: "bin/run", Mode: 0o100755, Body: "#!/bin/sh\n"},
		{Name: "data", Mode: 0o100644, Body: "data"},
	}, more...)
}

// badServices returns packages whose service.yaml is not acceptable.
func badServices(t testing.TB) (all []Refusal) {
	const wrong = "package is not acceptable: service.yaml:"
	for _, r := range []struct{ name, service, says string }{
		{"unknown key", "command: [bin/run]\nhelth: {}", wrong + "2: helth: unknown key; did you mean health? allowed: command, "},
		{"wrong type", "command: bin/run", wrong + `1: command: "bin/run" where a list belongs; allowed: a list of words`},
		{"program missing", "command: [bin/other]", wrong + "1: command: bin/other is not in the package"},
		{"program a folder", "command: [bin]", wrong + "1: command: bin is not a file"},
		{"program not executable", "command: [data]", wrong + "1: command: data is not executable (mode 0644); run `chmod +x data` before packing"},
		{"program leaves", "command: [../run]", wrong + `1: command: "../run" leaves the package`},
		{"folder leaves", "command: [bin/run]\nworking_dir: ..", wrong + `2: working_dir: ".." leaves the package`},
		{"two mistakes", "a: 1\nb: 2\ncommand: [bin/run]", "(and 1 more)"},
		{"not YAML", "a: b: c", wrong + "1: not YAML"},
	} {
		all = append(all, Refusal{"AP-12 " + r.name, Zip(t, Wrapped(r.service)...), pkgcheck.NotAcceptable, r.says})
	}
	crlf := Wrapped("command: [./bin/script]", Entry{Name: "bin/script", Mode: 0o100755, Body: "#!/bin/sh\r\n"})
	all = append(all, Refusal{"AP-11 program in CR LF", Zip(t, crlf...), pkgcheck.NotAcceptable, "package is not acceptable: bin/script: its first line ends in CR LF"})
	without := slices.DeleteFunc(Wrapped(""), func(e Entry) bool { return e.Name == "service.yaml" })
	return append(all, Refusal{"AP-12 no service.yaml", Zip(t, without...), pkgcheck.NotAcceptable, "package lacks service.yaml, which its executable plugin-shim needs"})
}

// commander returns the entries of agent 1.0 as a Commander, and more.
func commander(more ...Entry) []Entry {
	return Package(strings.Replace(agentConfig(), "{", `{"pluginType":"Commander",`, 1), more...)
}

// utf16Text returns text as Windows writes it, with a byte order mark.
func utf16Text(text string) string {
	b := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}

// Acceptance is a package that breaks no rule.
type Acceptance struct {
	Name    string // begins with the ID of the rule
	Package []byte
}

// Acceptances returns packages of agent 1.0 at the edge of the rules.
func Acceptances(t testing.TB) []Acceptance {
	t.Helper()
	agent := func(name string, entries ...Entry) Acceptance { return Acceptance{"CL-11 " + name, Zip(t, entries...)} }
	return []Acceptance{
		agent("bare", Agent()...),
		agent("with folders", Agent(Entry{Name: "bin/", Mode: 0o040755}, Entry{Name: "empty/"})...),
		agent("in a folder of its name", below("agent", Agent())...),
		agent("in a folder of its name and version", append([]Entry{{Name: "agent_1.0/"}}, below("agent_1.0", Agent())...)...),
		agent("in a folder with a dash", below("agent-1.0", Agent())...),
		agent("for any host", Package(Config("agent", "1.0", "", ""))...),
		agent("in capitals", Package(Config("agent", "1.0", "LINUX", "X64"))...),
		agent("runPath with a dot", Package(strings.Replace(agentConfig(), "bin/run", "./bin/run", 1))...),
		agent("no modes", Entry{Name: "config.json", Body: agentConfig()}, Entry{Name: "bin/run", Body: "#!/bin/sh\n"}),
		agent("text that shrinks well", Agent(Entry{Name: "text", Mode: 0o100644, Body: strings.Repeat("text\n", 200_000)})...),
		agent("32 deep", Agent(Entry{Name: strings.Repeat("d/", 31) + "b"})...),
		agent("packed by macOS", append(below("agent", Agent()), // F23
			Entry{Name: "__MACOSX/"}, Entry{Name: "__MACOSX/agent/"}, Entry{Name: "__MACOSX/agent/._config.json"}, Entry{Name: ".DS_Store"})...),
		agent("config.json with a byte order mark", Package("\ufeff"+agentConfig())...), // F23
		agent("config.json in UTF-16", Package(utf16Text(agentConfig()))...),            // F23
		agent("service.yaml of something else", Agent(Entry{Name: "service.yaml", Mode: 0o100644, Body: "kind: Service"})...),
		agent("wrapped", Wrapped("command: [bin/run, -v]\nworking_dir: bin\nuser: root\n")...),
		agent("wrapped, in a folder of its name", below("agent", Wrapped("command: [./bin/run]\n"))...),
		agent("wrapped, a program of the host", Wrapped("command: [/usr/sbin/not-on-this-host]\n")...),
		agent("a Commander", commander(Entry{Name: "axt-commander.json", Mode: 0o100644, Body: `{"pidFile":"agent.pid"}`})...),
		agent("10,000 entries", Agent(manyEntries(9_998, "")...)...),
	}
}
