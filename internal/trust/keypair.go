package trust

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
)

// KeyPair is a server's certificate and key in two files. They are read for each
// handshake, so that a rotation needs no restart.
type KeyPair struct {
	certFile, keyFile string
	changed           func(error)

	mu        sync.Mutex
	cert, key []byte // the content of the files that current was made of
	current   *tls.Certificate
	failure   string // the last error passed to changed; "" when there is none
}

// LoadKeyPair reads the files, which are in PEM. Later, changed is called with nil
// when they hold another certificate, and with an error when they cannot be used.
func LoadKeyPair(certFile, keyFile string, changed func(error)) (*KeyPair, error) {
	k := &KeyPair{certFile: certFile, keyFile: keyFile, changed: changed}
	_, err := k.readFiles()
	return k, err
}

// Certificate returns the certificate in the files. While they hold no pair, as in the
// middle of a rotation, it returns the last one. It is made for
// tls.Config.GetCertificate.
func (k *KeyPair) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fresh, err := k.readFiles()
	switch {
	case err != nil && err.Error() != k.failure:
		k.failure = err.Error()
		k.changed(err)
	case err == nil && (fresh || k.failure != ""):
		k.failure = ""
		k.changed(nil)
	}
	return k.current, nil
}

// readFiles updates current, and reports whether it is another certificate.
func (k *KeyPair) readFiles() (fresh bool, err error) {
	cert, err := os.ReadFile(k.certFile)
	if err != nil {
		return false, fmt.Errorf("read TLS certificate: %w", err)
	}
	key, err := os.ReadFile(k.keyFile)
	if err != nil {
		return false, fmt.Errorf("read TLS key: %w", err)
	}
	if k.current != nil && bytes.Equal(cert, k.cert) && bytes.Equal(key, k.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("use TLS certificate %s with key %s: %w", k.certFile, k.keyFile, err)
	}
	k.cert, k.key, k.current = cert, key, &pair
	return true, nil
}
