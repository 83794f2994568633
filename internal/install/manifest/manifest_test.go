package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/install/manifest"
)

func sample() manifest.Manifest {
	return manifest.Manifest{
		Name: "log-agent", Version: "2.4.1", OS: "linux", Arch: "x64",
		Size: 12, SHA256: strings.Repeat("0a", 32), NotAfter: 1893456000, Sequence: 17,
	}
}

func newKey(t testing.TB) manifest.PrivateKey {
	t.Helper()
	k, err := manifest.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCanonicalForm(t *testing.T) {
	got, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := "pluginsupervisor package manifest v1\nname=log-agent\nversion=2.4.1\nos=linux\narch=x64\nsize=12\nsha256=" +
		strings.Repeat("0a", 32) + "\nnot_after=1893456000\nsequence=17\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	bad := sample()
	bad.OS = "linux\narch=arm"
	if _, err := bad.Encode(); err == nil {
		t.Error("a value with a line break was encoded, want an error")
	}
}

func TestVerify(t *testing.T) {
	mine, other := newKey(t), newKey(t)
	trusted := []manifest.PublicKey{newKey(t).Public(), mine.Public()}
	signed, err := manifest.Sign(sample(), other, mine)
	if err != nil {
		t.Fatal(err)
	}
	m, key, err := manifest.Verify(signed, trusted)
	if err != nil || key.ID() != mine.Public().ID() {
		t.Fatalf("signed by key %s, %v, want %s", key.ID(), err, mine.Public().ID())
	}
	if diff := cmp.Diff(sample(), m); diff != "" {
		t.Error(diff)
	}
	for name, tt := range map[string]struct {
		text []byte
		want error
	}{
		"another key": {must(manifest.Sign(sample(), other)), manifest.ErrUntrusted},
		"changed":     {bytes.Replace(signed, []byte("2.4.1"), []byte("2.4.2"), 1), manifest.ErrUntrusted},
		"unsigned":    {must(sample().Encode()), manifest.ErrUntrusted},
		"number written otherwise": {
			bytes.Replace(signed, []byte("sequence=17"), []byte("sequence=017"), 1), manifest.ErrMalformed,
		},
		"field missing": {bytes.Replace(signed, []byte("os=linux\n"), nil, 1), manifest.ErrMalformed},
		"cut":           {signed[:len(signed)-5], manifest.ErrMalformed},
		"empty":         {nil, manifest.ErrMalformed},
		"huge":          {append(bytes.Clone(signed), make([]byte, manifest.MaxSize)...), manifest.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := manifest.Verify(tt.text, trusted); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestExpired(t *testing.T) {
	m := sample()
	end := time.Unix(m.NotAfter, 0)
	if m.Expired(end) || !m.Expired(end.Add(time.Second)) {
		t.Error("want valid at not_after and expired a second later")
	}
	m.NotAfter = 0
	if m.Expired(end.AddDate(100, 0, 0)) {
		t.Error("not_after 0 expired, want never")
	}
}

func TestKeyFile(t *testing.T) {
	k := newKey(t)
	path := filepath.Join(t.TempDir(), "key")
	if err := k.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v, want 0600", info.Mode(), err)
	}
	back, err := manifest.ReadPrivateKey(path)
	if err != nil || back.Public().String() != k.Public().String() {
		t.Errorf("read back %v, %v", back, err)
	}
	if err := newKey(t).WriteFile(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key was overwritten: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.ReadPrivateKey(path); err == nil {
		t.Error("a key that others may read was accepted")
	}
	if s := fmt.Sprintf("%v %+v %#v", k, k, k); strings.Contains(s, "plugin-private-key") {
		t.Errorf("the printed key contains its secret: %s", s)
	}
	public, err := manifest.ParsePublicKey(k.Public().String() + "\n")
	if err != nil || public.ID() != k.Public().ID() {
		t.Errorf("public key read back: %v, %v", public, err)
	}
	if _, err := manifest.ParsePublicKey("plugin-key-ed25519:AAAA"); err == nil {
		t.Error("a short public key was accepted")
	}
}

// Verify accepts only the exact text that was signed.
func FuzzVerify(f *testing.F) {
	key := newKey(f)
	signed, err := manifest.Sign(sample(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte("pluginsupervisor package manifest v1\nname=a\n"))
	f.Add([]byte("signature= \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, _, err := manifest.Verify(text, []manifest.PublicKey{key.Public()})
		if err == nil && m != sample() {
			t.Errorf("accepted %+v, which was never signed", m)
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(newKey(f).Public().String())
	f.Add("plugin-key-ed25519:")
	f.Fuzz(func(t *testing.T, line string) {
		k, err := manifest.ParsePublicKey(line)
		if err == nil && k.String() != strings.TrimSpace(line) {
			t.Errorf("%q is read as %s", line, k)
		}
	})
}
