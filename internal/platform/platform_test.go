package platform_test

import (
	"strings"
	"testing"

	"pluginsupervisor/internal/platform"
)

func TestArch(t *testing.T) {
	for machine, want := range map[string]string{
		"x86_64": "x64", "amd64": "x64", "AMD64": "x64", "x64": "x64",
		"i386": "x86", "i686": "x86", "386": "x86", "x86": "x86", "X86": "x86",
		"aarch64": "arm", "arm64": "arm", "armv7l": "arm", "arm": "arm",
		"riscv64": "unknown", "s390x": "unknown", "mips": "unknown", "unknown": "unknown", "": "unknown",
	} {
		got := platform.Arch(machine)
		if got != want {
			t.Errorf("machine %q is %q, want %q", machine, got, want)
		}
		if again := platform.Arch(got); again != got {
			t.Errorf("word %q becomes %q", got, again)
		}
	}
	if got := platform.LocalArch(); got != "x64" && got != "arm" {
		t.Errorf("this machine is %q", got)
	}
}

func TestOS(t *testing.T) {
	for goos, want := range map[string]string{
		"linux": "linux", "Linux": "linux", "windows": "windows", "freebsd": "freebsd", "darwin": "unknown", "": "unknown",
	} {
		if got := platform.OS(goos); got != want {
			t.Errorf("system %q is %q, want %q", goos, got, want)
		}
	}
	if got := platform.LocalOS(); got != "linux" {
		t.Errorf("this system is %q", got)
	}
	if n := platform.Uname(); n.System != "Linux" || n.Release == "" || n.Version == "" || n.Machine == "" {
		t.Errorf("uname returns %+v", n)
	}
}

// Each allowed name of a package is "any" or the name of a host.
func TestPackageWords(t *testing.T) {
	for _, tt := range []struct {
		parse func(string) (string, error)
		host  func(string) string
		any   string
		words []string
		bad   string
	}{
		{platform.PackageOS, platform.OS, platform.AnyOS, []string{"linux", "windows", "freebsd"}, "plan9"},
		{platform.PackageArch, platform.Arch, platform.AnyArch, []string{"x64", "x86", "arm"}, "amd64"},
	} {
		for text, want := range map[string]string{"": tt.any, tt.any: tt.any, strings.ToUpper(tt.any): tt.any} {
			if got, err := tt.parse(text); got != want || err != nil {
				t.Errorf("%q is %q, %v, want %q", text, got, err, want)
			}
		}
		for _, word := range tt.words {
			if got, err := tt.parse(strings.ToUpper(word)); got != word || err != nil || tt.host(word) != word {
				t.Errorf("%q is %q for a package, %q for a host, %v", word, got, tt.host(word), err)
			}
		}
		for _, bad := range []string{tt.bad, platform.Unknown, " "} {
			if got, err := tt.parse(bad); err == nil || !strings.Contains(err.Error(), "is none of "+tt.any) {
				t.Errorf("%q is %q, %v", bad, got, err)
			}
		}
	}
}

func TestFits(t *testing.T) {
	for _, tt := range []struct {
		osType, arch string
		want         bool
	}{
		{"", "", true},
		{"Both", "All", true},
		{"LINUX", "X64", true},
		{"windows", "x64", false},
		{"linux", "arm", false},
		{"both", "x86", false},
		{"all", "both", false}, // "any" has another name for each
	} {
		if got := platform.FitsOS(tt.osType, "linux") && platform.FitsArch(tt.arch, "x64"); got != tt.want {
			t.Errorf("package for %q and %q: %v, want %v", tt.osType, tt.arch, got, tt.want)
		}
	}
}
