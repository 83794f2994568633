package control

import (
	"io"
	"io/fs"
	"strings"

	"pluginsupervisor/internal/platform"
)

// maxHostFile limits how much of a file with facts about the host is read, in bytes.
const maxHostFile = 64 << 10

// describeHost returns the facts about the host, from its names and the files below
// root. A fact that cannot be found is "unknown".
func describeHost(root fs.FS, n platform.Names, goarch, instanceID string) Common {
	release := readHostFile(root, "etc/os-release")
	if release == "" { // the second path that os-release(5) names
		release = readHostFile(root, "usr/lib/os-release")
	}
	return Common{
		Arch:          goarch,
		InstanceID:    instanceID,
		OSVersion:     n.System + "_" + n.Version + "_" + n.Machine,
		VirtualType:   virtualType(readHostFile(root, "sys/class/dmi/id/product_name")),
		Distribution:  parseDistribution(release),
		KernelVersion: n.Release,
	}
}

// parseDistribution returns ID and VERSION_ID of an os-release file: "debian 12".
func parseDistribution(release string) string {
	var id, version string
	for line := range strings.Lines(release) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ID":
			id = unquoteValue(value)
		case "VERSION_ID":
			version = unquoteValue(value)
		}
	}
	if id == "" {
		return platform.Unknown
	}
	return strings.TrimSpace(id + " " + version)
}

func unquoteValue(value string) string { return strings.TrimSpace(strings.Trim(value, `"'`)) }

// virtualType returns the hypervisor that a machine's product name stands for.
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

func readHostFile(root fs.FS, name string) string {
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHostFile))
	if err != nil {
		return ""
	}
	return string(b)
}
