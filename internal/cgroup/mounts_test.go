package cgroup

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const hybrid = `22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

func TestParseMounts(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []mount
	}{
		"hybrid": {hybrid, []mount{
			{"/", "/sys/fs/cgroup/cpu,cpuacct", kindV1, []string{"rw", "cpu", "cpuacct"}},
			{"/", "/sys/fs/cgroup/systemd", kindV1, []string{"rw", "name=systemd"}},
			{"/", "/sys/fs/cgroup/unified", kindV2, []string{"rw"}},
		}},
		"v2 alone": {
			"36 25 0:31 / /sys/fs/cgroup rw,nosuid,nodev shared:10 master:3 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
			[]mount{{"/", "/sys/fs/cgroup", kindV2, []string{"rw", "nsdelegate", "memory_recursiveprot"}}},
		},
		"part of it, mount point with a space": {
			`36 25 0:31 /docker/1a /mnt/a\040b\134 ro - cgroup2 none rw`,
			[]mount{{"/docker/1a", `/mnt/a b\`, kindV2, []string{"rw"}}},
		},
		"not understood": {"\n-\n1 2 3 - cgroup2\n36 25 0:31 / /x rw cgroup2 none rw\n36 25 0:31 / /x rw - cgroup2 none", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, parseMounts(c.text), cmp.AllowUnexported(mount{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMountDir(t *testing.T) {
	for _, c := range []struct{ root, path, want string }{
		{"/", "/", "/m"},
		{"/", "/a/b", "/m/a/b"},
		{"/docker/1a", "/docker/1a", "/m"},
		{"/docker/1a", "/docker/1a/b", "/m/b"},
		{"/docker/1a", "/docker/1ab", ""},
		{"/docker/1a", "/", ""},
		{"/..", "/", ""},
		{"/../..", "/../../a", ""},
		{"/", "/../a", ""},
		{"/", "", ""},
		{"/", "a", ""},
	} {
		got, ok := mount{root: c.root, point: "/m"}.dir(c.path)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s in %s: %q %v, want %q", c.path, c.root, got, ok, c.want)
		}
	}
}

func TestParseMembership(t *testing.T) {
	got := parseMembership("9:name=systemd:/\n4:memory:/a:b\n3:cpu,cpuacct:/c\nodd\n0::/system.slice/x.service\n")
	want := map[string]string{
		"name=systemd": "/", "memory": "/a:b", "cpu": "/c", "cpuacct": "/c", "": "/system.slice/x.service",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add(hybrid, "/a/b")
	f.Add(`36 25 0:31 /docker/1a /mnt/a\040b\13 ro - cgroup2 none rw`, "/docker/1a/../b")
	f.Fuzz(func(t *testing.T, text, path string) {
		for _, m := range parseMounts(text) {
			dir, ok := m.dir(path)
			if rel, err := filepath.Rel(m.point, dir); ok && m.point != "" && (err != nil || !filepath.IsLocal(rel)) {
				t.Errorf("%q is outside of %q", dir, m.point)
			}
		}
	})
}

func FuzzParseMembership(f *testing.F) {
	f.Add("4:memory:/a:b\n3:cpu,cpuacct:/c\n0::/\n")
	f.Fuzz(func(t *testing.T, text string) {
		for controller, path := range parseMembership(text) {
			if again := parseMembership("1:" + controller + ":" + path); again[controller] != path {
				t.Errorf("%q: %q read as %q", controller, path, again[controller])
			}
		}
	})
}
