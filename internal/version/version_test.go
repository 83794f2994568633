package version

import "testing"

func TestString(t *testing.T) {
	if String() == "" || String() == "(devel)" {
		t.Errorf("without a release: %q", String())
	}
	built = "1.2.3"
	t.Cleanup(func() { built = "" })
	if got := String(); got != "1.2.3" {
		t.Errorf("version of the release %q, want 1.2.3", got)
	}
}
