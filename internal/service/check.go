package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Runner runs the command of a check, in the environment of the program, and
// returns nil when it exits 0. It stops the command when ctx is done.
type Runner func(ctx context.Context, words []string) error

// Run runs the check once, for at most timeout. It returns nil when the check passes.
func (c Check) Run(ctx context.Context, timeout time.Duration, run Runner) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	switch {
	case c.HTTP != "":
		err = requestURL(ctx, c.HTTP)
	case c.TCP != "":
		var conn net.Conn
		if conn, err = dialTCP(ctx, c.TCP); err == nil {
			err = conn.Close()
		}
	case len(c.Command) > 0:
		err = run(ctx, c.Command)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%v: no answer in %v", c, timeout)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", c, err)
	}
	return nil
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	var failed *net.OpError
	if errors.As(err, &failed) { // the text of OpError repeats the address
		return nil, failed.Err
	}
	return conn, err
}

// Limits of an answer, in bytes.
const (
	maxLine   = 4 << 10
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

// requestURL requests a URL and returns nil when the answer is 200 to 299. It does not
// follow redirects. It reads up to maxBody of the body, since many programs log an error
// when the client does not.
//
// Package net/http would make the shim 3 MB larger than allowed (AP-14).
func requestURL(ctx context.Context, raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	conn, err := dialTCP(ctx, net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	const request = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: plugin-supervisor-check\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if _, err := fmt.Fprintf(conn, request, u.RequestURI(), u.Host); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, maxLine)
	for {
		a, err := readResponse(r)
		switch {
		case err != nil:
			return err
		case a.code >= 100 && a.code < 200: // another answer follows
			continue
		case a.code >= 300 && a.code < 400:
			return fmt.Errorf("answered %s, a redirect to %q; redirects are not followed, use the final address", a.status, a.location)
		case a.code < 200 || a.code > 299:
			return fmt.Errorf("answered %s", a.status)
		}
		n := int64(maxBody)
		if a.length >= 0 {
			n = min(n, a.length)
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil && (a.length >= 0 || err != io.EOF) {
			return fmt.Errorf("answered %s, but the body is incomplete: %w", a.status, err)
		}
		return nil
	}
}

// responseHead is the status line and header of an answer.
type responseHead struct {
	code     int
	status   string // with the code
	location string
	length   int64 // of the body; -1: until the connection is closed
}

var errNotHTTP = errors.New("answer is not HTTP")

func readResponse(r *bufio.Reader) (responseHead, error) {
	a := responseHead{length: -1}
	line, err := readLine(r)
	if err != nil {
		return a, err
	}
	version, status, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(version, "HTTP/1.") || len(status) < 3 {
		return a, errNotHTTP
	}
	if a.code, err = strconv.Atoi(status[:3]); err != nil || a.code < 100 {
		return a, errNotHTTP
	}
	a.status = fmt.Sprintf("%.100s", strings.Map(dropUnprintable, status))
	for left := maxHeader; ; {
		line, err := readLine(r)
		if err != nil {
			return a, err
		}
		if line == "" {
			return a, nil
		}
		if left -= len(line); left < 0 {
			return a, errNotHTTP
		}
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.ToLower(name) {
		case "location":
			a.location = fmt.Sprintf("%.200s", value)
		case "content-length":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
				a.length = n
			}
		}
	}
}

// readLine returns the next line without its line end. A line that is incomplete or too
// long is errNotHTTP.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull), err == io.EOF && len(line) > 0:
		return "", errNotHTTP
	case err == io.EOF:
		return "", errors.New("connection closed without an answer")
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func dropUnprintable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return -1
}
