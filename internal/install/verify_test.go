package install_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/manifest"
)

func newKey(t *testing.T) manifest.PrivateKey {
	t.Helper()
	k, err := manifest.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignature(t *testing.T) {
	z := sample().zip(t)
	mine, old, foreign := newKey(t), newKey(t), newKey(t)
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		name    string
		key     manifest.PrivateKey
		change  func(*manifest.Manifest)
		message string
	}{
		{"signed", mine, func(*manifest.Manifest) {}, ""},
		{"by the other key", old, func(*manifest.Manifest) {}, ""},
		{"same sequence again", mine, func(m *manifest.Manifest) { m.Sequence = 7 }, ""},
		{"foreign key", foreign, func(*manifest.Manifest) {}, "no valid signature"},
		{"expired", mine, func(m *manifest.Manifest) { m.NotAfter = now.Unix() - 1 }, "expired"},
		{"replayed", mine, func(m *manifest.Manifest) { m.Sequence = 6 }, "replay"},
		{"another package", mine, func(m *manifest.Manifest) { m.SHA256 = fmt.Sprintf("%064x", 1) }, "signed for"},
		{"another size", mine, func(m *manifest.Manifest) { m.Size++ }, "signed for"},
		{"another version", mine, func(m *manifest.Manifest) { m.Version = "2.0" }, "signature is for agent 2.0"},
		{"another name", mine, func(m *manifest.Manifest) { m.Name = "other" }, "signature is for other"},
		{"another arch", mine, func(m *manifest.Manifest) { m.Arch = "arm" }, "(linux arm)"},
	} {
		m := manifest.Manifest{
			Name: "agent", Version: "1.0", OS: "linux", Arch: "x64", Size: int64(len(z)),
			SHA256: fmt.Sprintf("%x", sha256.Sum256(z)), NotAfter: now.Unix(), Sequence: 8,
		}
		tt.change(&m)
		text, err := manifest.Sign(m, tt.key)
		if err != nil {
			t.Fatal(err)
		}
		for _, how := range []string{"offered", "beside a file", "beside a URL"} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				root := newRoot(t)
				i := newInstaller(t, root, func(c *install.Config) {
					c.TrustedKeys = []manifest.PublicKey{old.Public(), mine.Public()}
					c.Accepted = sequences{"agent": 7}
					c.Now = func() time.Time { return now }
				})
				r := install.Request{Source: writePackage(t, z)}
				switch how {
				case "offered":
					r.Manifest = string(text)
				case "beside a file":
					if err := os.WriteFile(r.Source+".sig", text, 0o600); err != nil {
						t.Fatal(err)
					}
				default:
					r.Source = startServer(t, z, text) + "/p%2F1.zip?from=here"
				}
				s, err := i.Stage(t.Context(), r)
				if tt.message != "" {
					checkRefused(t, err, 239, tt.message)
					checkUntouched(t, root)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer s.Discard()
				if s.Verified != install.BySignature || s.Key != tt.key.Public().ID() || s.Sequence != m.Sequence {
					t.Errorf("staged %+v", s)
				}
			})
		}
	}
}

func startServer(t *testing.T, z, sig []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/p%2F1.zip?from=here":
			w.Write(z)
		case "/p%2F1.zip.sig?from=here":
			w.Write(sig)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// With trusted keys a correct digest alone is not enough.
func TestUnsigned(t *testing.T) {
	z := sample().zip(t)
	root := newRoot(t)
	i := newInstaller(t, root, func(c *install.Config) {
		c.TrustedKeys, c.Accepted = []manifest.PublicKey{newKey(t).Public()}, sequences{}
	})
	server := startServer(t, z, nil)
	for _, source := range []string{writePackage(t, z), server + "/p%2F1.zip", server + "/p%2F1.zip?from=here"} {
		_, err := i.Stage(t.Context(), install.Request{Source: source, SHA256: fmt.Sprintf("%x", sha256.Sum256(z))})
		code := 239
		if source == server+"/p%2F1.zip" {
			code = 240 // the package itself does not exist
		}
		checkRefused(t, err, code, "")
		checkUntouched(t, root)
	}
}

// A signature file that is too large is not read completely.
func TestHugeSignature(t *testing.T) {
	root := newRoot(t)
	i := newInstaller(t, root, func(c *install.Config) {
		c.TrustedKeys, c.Accepted = []manifest.PublicKey{newKey(t).Public()}, sequences{}
	})
	source := writePackage(t, sample().zip(t))
	if err := os.WriteFile(source+".sig", make([]byte, manifest.MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := i.Stage(t.Context(), install.Request{Source: source})
	checkRefused(t, err, 239, "cannot be fetched")
	checkUntouched(t, root)
}

// UP-06: an unpacked version is trusted only if its package was.
func TestTrusts(t *testing.T) {
	z := sample().zip(t)
	mine, foreign := newKey(t), newKey(t)
	root, accepted := newRoot(t), sequences{}
	installer := func(keys ...manifest.PublicKey) *install.Installer {
		return newInstaller(t, root, func(c *install.Config) { c.TrustedKeys, c.Accepted = keys, accepted })
	}
	trusted, refusing := installer(mine.Public()), installer(foreign.Public())
	if err := installer().Trusts(t.Context(), "agent", "1.0"); err != nil {
		t.Errorf("no keys are trusted: %v", err)
	}
	checkRefused(t, trusted.Trusts(t.Context(), "agent", "1.0"), 239, "not from a package that a trusted key signed")
	text, err := manifest.Sign(manifest.Manifest{
		Name: "agent", Version: "1.0", OS: "linux", Arch: "x64", Size: int64(len(z)),
		SHA256: fmt.Sprintf("%x", sha256.Sum256(z)), NotAfter: time.Now().Add(time.Hour).Unix(), Sequence: 8,
	}, mine)
	if err != nil {
		t.Fatal(err)
	}
	s, err := trusted.Stage(t.Context(), install.Request{Source: writePackage(t, z), Manifest: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Place(install.Replace); err != nil {
		t.Fatal(err)
	}
	if err := trusted.Trusts(t.Context(), "agent", "1.0"); err != nil {
		t.Error(err)
	}
	checkRefused(t, refusing.Trusts(t.Context(), "agent", "1.0"), 239, "not from a package that a trusted key signed")
	accepted["agent"] = 9
	checkRefused(t, trusted.Trusts(t.Context(), "agent", "1.0"), 239, "is a replay: its sequence is 8, 9 was accepted before")
	if err := s.CheckSequence(t.Context()); err == nil {
		t.Error("CheckSequence passed, want an error: a higher sequence was accepted meanwhile")
	}
	if err := s.Discard(); err != nil {
		t.Error(err)
	}
}
