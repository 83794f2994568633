package control

import (
	"strings"
	"testing"
	"testing/fstest"

	"pluginsupervisor/internal/platform"
)

func TestDistribution(t *testing.T) {
	for want, release := range map[string]string{
		"debian 12":    "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\nID_LIKE=none\n",
		"ubuntu 24.04": "ID='ubuntu'\r\nVERSION_ID='24.04'\r\n",
		"arch":         "# rolling\n\nID=arch",
		"unknown":      "VERSION_ID=12\nno assignment\n",
	} {
		if got := parseDistribution(release); got != want {
			t.Errorf("distribution of %q is %q, want %q", release, got, want)
		}
	}
}

func TestVirtualType(t *testing.T) {
	for product, want := range map[string]string{
		"KVM\n": "kvm", "Alibaba Cloud ECS\n": "kvm", "Standard PC (Q35 + ICH9, 2009)\n": "kvm",
		"VMware Virtual Platform\n": "vmware", "VMware7,1\n": "vmware", "VirtualBox\n": "virtualbox",
		"HVM domU\n": "xen", "Virtual Machine\n": "hyperv", "PowerEdge R740\n": "unknown", "": "unknown",
	} {
		if got := virtualType(product); got != want {
			t.Errorf("virtual type of product %q is %q, want %q", product, got, want)
		}
	}
}

// Without any file, an event still has all its keys. A very long file is read in
// part only.
func TestDescribeHostWithoutFiles(t *testing.T) {
	n := platform.Names{System: "Linux", Release: "6.1.0", Version: "#1 SMP", Machine: "aarch64"}
	want := Common{
		Arch: "arm64", InstanceID: "i-1", OSVersion: "Linux_#1 SMP_aarch64",
		VirtualType: "unknown", Distribution: "unknown", KernelVersion: "6.1.0",
	}
	if got := describeHost(fstest.MapFS{}, n, "arm64", "i-1"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	want.Distribution = "alpine 3.22"
	root := fstest.MapFS{"usr/lib/os-release": {
		Data: []byte("ID=alpine\nVERSION_ID=3.22\n" + strings.Repeat("#", maxHostFile) + "\nID=other\n"),
	}}
	if got := describeHost(root, n, "arm64", "i-1"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
