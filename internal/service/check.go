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
// returns nil when it exits 0. It stops the command when ctx ends.
type Runner func(ctx context.Context, words []string) error

// Run makes the check once. It returns nil when the check passes, else why not,
// and takes no longer than timeout.
func (c Check) Run(ctx context.Context, timeout time.Duration, run Runner) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	switch {
	case c.HTTP != "":
		err = get(ctx, c.HTTP)
	case c.TCP != "":
		var conn net.Conn
		if conn, err = dial(ctx, c.TCP); err == nil {
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

func dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	var failed *net.OpError
	if errors.As(err, &failed) { // its own text repeats the address
		return nil, failed.Err
	}
	return conn, err
}

// How much of an answer is read, in bytes.
const (
	maxLine   = 4 << 10
	maxHeader = 64 << 10
	maxBody   = 1 << 20
)

// get asks for a URL and returns nil when the answer is 200 to 299. Redirects are
// not followed. The body is read, as many programs log an error otherwise, but
// no more than maxBody of it.
//
// Package net/http would make the shim, which does little else, 3 MB larger than
// it may be (AP-14).
func get(ctx context.Context, raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	conn, err := dial(ctx, net.JoinHostPort(u.Hostname(), port))
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
		a, err := readAnswer(r)
		switch {
		case err != nil:
			return err
		case a.code >= 100 && a.code < 200: // another answer follows
			continue
		case a.code >= 300 && a.code < 400:
			return fmt.Errorf("answered %s, a redirect to %q; redirects are not followed, name the final address", a.status, a.location)
		case a.code < 200 || a.code > 299:
			return fmt.Errorf("answered %s", a.status)
		}
		n := int64(maxBody)
		if a.length >= 0 {
			n = min(n, a.length)
		}
		if _, err := io.CopyN(io.Discard, r, n); err != nil && (a.length >= 0 || err != io.EOF) {
			return fmt.Errorf("answered %s, and not all of it came: %w", a.status, err)
		}
		return nil
	}
}

// answer is the head of an answer.
type answer struct {
	code     int
	status   string // with the code
	location string
	length   int64 // of the body; -1: until the connection is closed
}

var errNotHTTP = errors.New("answer is not HTTP")

func readAnswer(r *bufio.Reader) (answer, error) {
	a := answer{length: -1}
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
	a.status = fmt.Sprintf("%.100s", strings.Map(printable, status))
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

// readLine returns the next line without its end; one that is cut off by the end
// of the answer, or too long, is no HTTP.
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

func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return -1
}
