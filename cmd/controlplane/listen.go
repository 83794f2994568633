package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/trust"
)

// openListener returns the listener of the options, and the URL of its page.
func (o serveOptions) openListener(log *logrus.Logger) (net.Listener, string, error) {
	var secure *tls.Config
	scheme := "http"
	if o.tlsCert != "" || o.tlsKey != "" {
		var err error
		if secure, err = o.tlsConfig(log); err != nil {
			return nil, "", err
		}
		scheme = "https"
	}
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return nil, "", fmt.Errorf("cannot listen: %w", err)
	}
	url := scheme + "://" + listener.Addr().String() + "/"
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	return listener, url, nil
}

func (o serveOptions) tlsConfig(log *logrus.Logger) (*tls.Config, error) {
	if o.tlsCert == "" || o.tlsKey == "" {
		return nil, errors.New("--tls-cert and --tls-key must be given together")
	}
	pair, err := trust.LoadKeyPair(o.tlsCert, o.tlsKey, func(err error) {
		if err != nil {
			log.WithError(err).Warn("Cannot reload the TLS certificate, keeping the last one")
			return
		}
		log.WithField("certificate", o.tlsCert).Info("TLS certificate reloaded")
	})
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: pair.Certificate,
		NextProtos:     []string{"h2", "http/1.1"},
	}, nil
}
