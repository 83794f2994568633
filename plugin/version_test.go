package plugin

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The order of SPEC 12, each smaller than the next.
func TestCompareVersions(t *testing.T) {
	ordered := []string{
		"", "0.9", "1rc", "1", "1.2rc1", "1.2rc2", "1.2rc10", "1.2", "1.2.0", "1.2.1", "1.5b3", "1.5", "1.10",
		"2.0.3.9", "2.0.3.12", "2.0.03.13", "10", "99999999999999999999999998", "99999999999999999999999999",
	}
	for i, a := range ordered[1:] {
		for _, b := range ordered[i+2:] {
			if CompareVersions(a, b) != -1 || CompareVersions(b, a) != 1 {
				t.Errorf("order of %q and %q: %d and %d, want -1 and 1", a, b, CompareVersions(a, b), CompareVersions(b, a))
			}
		}
		if CompareVersions(a, a) != 0 {
			t.Errorf("%q differs from itself", a)
		}
	}
	if CompareVersions("1.02", "1.2") != 0 {
		t.Error("1.02 differs from 1.2: leading zeros must not count")
	}
}

func TestCompareVersionsIsAnOrder(t *testing.T) {
	version := rapid.StringMatching(`[0-9ab.\-]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		if CompareVersions(a, b) != -CompareVersions(b, a) {
			t.Fatalf("order of %q and %q: %d, the other way round %d", a, b, CompareVersions(a, b), CompareVersions(b, a))
		}
		three := []string{a, b, c}
		slices.SortFunc(three, CompareVersions)
		if CompareVersions(three[0], three[2]) > 0 {
			t.Fatalf("not transitive: %q", three)
		}
	})
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1.2rc1", "1.2")
	f.Add("..1", "-")
	f.Fuzz(func(t *testing.T, a, b string) {
		if CompareVersions(a, b) != -CompareVersions(b, a) {
			t.Errorf("order of %q and %q: %d, the other way round %d", a, b, CompareVersions(a, b), CompareVersions(b, a))
		}
	})
}
