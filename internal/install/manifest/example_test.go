package manifest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"pluginsupervisor/internal/install/manifest"
)

// The publisher of a package signs its manifest; a host that trusts the public
// key verifies the text and compares the digest with the package it has fetched.
func Example() {
	key, err := manifest.GenerateKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	content := []byte("the bytes of log-agent.zip")
	digest := sha256.Sum256(content)
	signed, err := manifest.Sign(manifest.Manifest{
		Name: "log-agent", Version: "2.4.1", OS: "linux", Arch: "x64",
		Size: int64(len(content)), SHA256: hex.EncodeToString(digest[:]), Sequence: 17,
	}, key)
	if err != nil {
		fmt.Println(err)
		return
	}

	m, by, err := manifest.Verify(signed, []manifest.PublicKey{key.Public()})
	fmt.Println(m.Name, m.Version, m.Sequence, by.ID() == key.Public().ID(), err)
	fmt.Println("the package is the signed one:", m.SHA256 == hex.EncodeToString(digest[:]))
	// Output:
	// log-agent 2.4.1 17 true <nil>
	// the package is the signed one: true
}

// A signature of an untrusted key and a malformed text are different errors.
func ExampleVerify() {
	theirs, err := manifest.GenerateKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	signed, err := manifest.Sign(sample(), theirs)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _, err = manifest.Verify(signed, nil)
	fmt.Println("no trusted key:", errors.Is(err, manifest.ErrUntrusted))
	_, _, err = manifest.Verify([]byte("hello"), nil)
	fmt.Println("no manifest:", errors.Is(err, manifest.ErrMalformed))
	// Output:
	// no trusted key: true
	// no manifest: true
}

// Sign returns text: the canonical form, then one line for each signature.
func ExampleSign() {
	key, err := manifest.GenerateKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	m := sample()
	signed, err := manifest.Sign(m, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := m.Encode()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(body))
	line := string(signed[len(body):])
	fmt.Println(line[:len("signature=")] + "KEY SIGNATURE")
	// Output:
	// pluginsupervisor package manifest v1
	// name=log-agent
	// version=2.4.1
	// os=linux
	// arch=x64
	// size=12
	// sha256=0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a
	// not_after=1893456000
	// sequence=17
	// signature=KEY SIGNATURE
}
