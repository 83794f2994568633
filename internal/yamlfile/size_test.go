package yamlfile

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1024": 1024, "1KiB": 1024, "512MiB": 512 << 20, "1 GiB": 1 << 30, "8388607TiB": 8388607 << 40,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "1MB", "1mib", "8388608TiB", "9223372036854775808", "+1", "0x10", "1_000"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Size(rapid.Int64Min(0).Draw(t, "size"))
		if got, err := ParseSize(want.String()); err != nil || got != want {
			t.Errorf("%d is written %s and read %d, %v", want, want, got, err)
		}
	})
}
