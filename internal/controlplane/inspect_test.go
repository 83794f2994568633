package controlplane

import (
	"bytes"
	"testing"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

func FuzzInspect(f *testing.F) {
	f.Add(pack(f, "log", "1.0", "linux", "x64", ""))
	f.Add(zipped(f, entry{"log/config.json", config("log", "1", "", ""), 0o644}, entry{"log/run", "", 0o755}))
	f.Add(zipped(f, entry{"config.json", `{"name":1.10,"version":true,"runPath":"run"}`, 0o644}, entry{"run", "", 0o755}))
	f.Add(zipped(f, entry{"../config.json", "{}", 0o644}))
	f.Add([]byte("PK\x05\x06" + string(make([]byte, 18))))
	f.Add([]byte(zipStart))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := inspect(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			mustBeFault(t, err)
			return
		}
		_, osErr := platform.PackageOS(c.OSType)
		_, archErr := platform.PackageArch(c.Arch)
		for _, err := range []error{plugin.CheckName(c.Name), plugin.CheckName(c.Version), plugin.CheckRunPath(c.RunPath), osErr, archErr} {
			if err != nil {
				t.Errorf("accepted %+v: %v", c, err)
			}
		}
	})
}
