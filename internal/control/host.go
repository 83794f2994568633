package control

import (
	"io"
	"io/fs"
	"strings"

	"pluginsupervisor/internal/platform"
)

// maxFact is the most that is read of a file that tells about the host, in bytes.
const maxFact = 64 << 10

// describe tells what events say of the host: by its names and the files below
// root. What cannot be told is unknown.
func describe(root fs.FS, n platform.Names, goarch, instanceID string) Common {
	release := readFact(root, "etc/os-release")
	if release == "" { // the second place os-release(5) names
		release = readFact(root, "usr/lib/os-release")
	}
	return Common{
		Arch:          goarch,
		InstanceID:    instanceID,
		OSVersion:     n.System + "_" + n.Version + "_" + n.Machine,
		VirtualType:   virtualType(readFact(root, "sys/class/dmi/id/product_name")),
		Distribution:  distribution(release),
		KernelVersion: n.Release,
	}
}

// distribution is ID and VERSION_ID of an os-release file: "debian 12".
func distribution(release string) string {
	var id, version string
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ID":
			id = unquote(value)
		case "VERSION_ID":
			version = unquote(value)
		}
	}
	if id == "" {
		return platform.Unknown
	}
	return strings.TrimSpace(id + " " + version)
}

func unquote(value string) string { return strings.TrimSpace(strings.Trim(value, `"'`)) }

// virtualType is what a machine's product name tells of who emulates it.
func virtualType(product string) string {
	p := strings.ToLower(product)
	for _, v := range []struct{ part, name string }{
		{"kvm", "kvm"},
		{"alibaba cloud ecs", "kvm"},
		{"standard pc", "kvm"}, // QEMU's machines
		{"vmware", "vmware"},
		{"virtualbox", "virtualbox"},
		{"hvm domu", "xen"},
		{"virtual machine", "hyperv"},
	} {
		if strings.Contains(p, v.part) {
			return v.name
		}
	}
	return platform.Unknown
}

func readFact(root fs.FS, name string) string {
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFact))
	if err != nil {
		return ""
	}
	return string(b)
}
