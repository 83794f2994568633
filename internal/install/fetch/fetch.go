// Package fetch brings a package to a file, from a path, a file:// or an
// http(s):// URL, and digests it while it passes.
//
// A download that breaks off goes on where it stopped, as long as the server
// shows that it is still the same file (If-Range with its ETag or date);
// otherwise it begins anew. With Resume it goes on also in a later process. Its
// bounds are the whole time, the size, the time without progress, and the number
// of tries without progress. An error is a *failure.Error:
// NotFound, NotZip (not a regular file) or Unzip (too large) for a local file,
// Download for what a server or a URL does wrong, Storage when a file cannot be
// read or written.
package fetch

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/trust"
)

// Config bounds the fetches of a Fetcher. Zero means the default.
type Config struct {
	Timeout time.Duration // of one fetch, all its tries (install.fetch_timeout); 6 h
	Connect time.Duration // to have a connection, and to have an answer begin; 5 s
	Stall   time.Duration // over which MinRate is measured (install.stall); 30 s
	MinRate int64         // below which a try ends (install.min_rate), in bytes a second; 1 KiB
	MaxSize int64         // of a package, in bytes; 512 MiB

	Tries      int           // that bring nothing new, one after the other; 5
	FirstPause time.Duration // between two tries, doubled each time up to 5 s; 250 ms

	// Jitter makes a pause a little different on every host; nil leaves it.
	Jitter func(time.Duration) time.Duration
	TLS    *tls.Config // nil: the default
	// Origin is the URL of the one server that OriginTLS is for, with its client
	// certificate: no other one sees that, nor does it after a redirect from
	// another one. "": none.
	Origin    string
	OriginTLS *tls.Config
	CA        trust.Authorities // what a server is verified by
	Proxy     *url.URL          // the proxy to go through; nil: that of the environment
	Step      failpoint.Step
	Client    string // the User-Agent
}

// Sums are the digests of what was fetched, in lower-case hex.
type Sums struct {
	SHA256, MD5 string
	Size        int64 // bytes
}

// Progress is told how many bytes have come, of how many; total is -1 when the
// server does not say. A download that begins anew starts again at 0.
type Progress func(done, total int64)

// Fetcher fetches. It may be used by several at once.
type Fetcher struct {
	cfg  Config
	http *http.Client
}

const (
	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes
)

// New makes a Fetcher and connects to nothing.
func New(cfg Config) *Fetcher {
	cfg.Timeout = orElse(cfg.Timeout, 6*time.Hour)
	cfg.Connect = orElse(cfg.Connect, 5*time.Second)
	cfg.Stall = orElse(cfg.Stall, 30*time.Second)
	cfg.MinRate = orElse(cfg.MinRate, 1<<10)
	cfg.MaxSize = orElse(cfg.MaxSize, 512<<20)
	cfg.Tries = orElse(cfg.Tries, 5)
	cfg.FirstPause = orElse(cfg.FirstPause, 250*time.Millisecond)
	return &Fetcher{cfg: cfg, http: &http.Client{CheckRedirect: checkRedirect, Transport: newTransport(cfg)}}
}

func orElse[T int | int64 | time.Duration](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}

// Close ends the idle connections.
func (f *Fetcher) Close() { f.http.CloseIdleConnections() }

// Remote tells whether a source is a http or https URL.
func Remote(source string) bool {
	u, err := url.Parse(source)
	return err == nil && isWeb(u)
}

func isWeb(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// Fetch writes the source to a new file at the path to, synced. After an error
// there may be an incomplete one.
func (f *Fetcher) Fetch(ctx context.Context, source, to string, progress Progress) (Sums, error) {
	s, err := f.open(to, os.O_EXCL, progress)
	if err != nil {
		return Sums{}, err
	}
	err = f.fill(ctx, source, s)
	return s.sums(), err
}

// open makes the sink for a file.
func (f *Fetcher) open(path string, flags int, progress Progress) (*sink, error) {
	if err := f.cfg.Step.Before("fetch create"); err != nil {
		return nil, failure.Because(failure.Storage, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o600)
	if err != nil {
		return nil, failure.Because(failure.Storage, err)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	return &sink{file: file, step: f.cfg.Step, max: f.cfg.MaxSize, progress: progress, digests: newDigests()}, nil
}

// fill writes the source to the sink, and closes it.
func (f *Fetcher) fill(ctx context.Context, source string, s *sink) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.cfg.Timeout, timeoutError(f.cfg.Timeout))
	defer cancel()
	err := s.takeUp(ctx)
	if err == nil {
		err = f.into(ctx, source, s)
	}
	if err == nil {
		err = failure.Because(failure.Storage, s.sync())
	}
	if closed := s.file.Close(); err == nil {
		err = failure.Because(failure.Storage, closed)
	}
	return err
}

// timeoutError says that a fetch took longer than Config.Timeout.
type timeoutError time.Duration

func (t timeoutError) Error() string {
	return fmt.Sprintf("not complete within %v (install.fetch_timeout)", time.Duration(t))
}

// Is reports that the error is a missed deadline.
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

func (f *Fetcher) into(ctx context.Context, source string, s *sink) error {
	u, err := url.Parse(source)
	switch {
	case err == nil && isWeb(u) && u.Host != "":
		return f.download(ctx, u, s)
	case err == nil && u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"):
		return f.local(ctx, u.Path, s)
	case strings.Contains(source, "://"):
		return failure.New(failure.Download, "fetch: a source is a path or a URL of http, https or file")
	default:
		return f.local(ctx, source, s)
	}
}

// local copies a file: what is digested must be what is unpacked, whoever
// writes to the original meanwhile.
func (f *Fetcher) local(ctx context.Context, path string, s *sink) error {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return failure.New(failure.NotFound, "package file not found: %w", err)
		}
		return failure.New(failure.Storage, "read package file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return failure.New(failure.NotZip, "package %s is not a regular file", path)
	}
	if info.Size() > s.max {
		return failure.New(failure.Unzip, "package has %d bytes, at most %d allowed", info.Size(), s.max)
	}
	s.total = info.Size()
	if _, err := io.Copy(s, contextReader{ctx, file}); err != nil {
		return failure.Because(failure.Storage, fmt.Errorf("copy package file: %w", err))
	}
	return nil
}

// contextReader stops with its context.
type contextReader struct {
	ctx context.Context // of the one copy it lives for
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// digests are of the bytes that were written to it.
type digests struct {
	sha, md5 hash.Hash
	done     int64 // bytes
}

func newDigests() digests { return digests{sha: sha256.New(), md5: md5.New()} }

func (d *digests) Write(p []byte) (int, error) {
	d.sha.Write(p)
	d.md5.Write(p)
	d.done += int64(len(p))
	return len(p), nil
}

func (d *digests) sums() Sums {
	return Sums{SHA256: hex.EncodeToString(d.sha.Sum(nil)), MD5: hex.EncodeToString(d.md5.Sum(nil)), Size: d.done}
}

// Digest returns the digests of a file.
func Digest(ctx context.Context, file io.Reader) (Sums, error) {
	d := newDigests()
	_, err := io.Copy(&d, contextReader{ctx, file})
	return d.sums(), err
}

// sink is the file under way, with all that is known of its first bytes.
type sink struct {
	digests
	file     *os.File
	step     failpoint.Step
	progress Progress
	total    int64 // bytes; -1: not told
	max      int64 // bytes

	version version // of what came
	mark    string  // file that keeps the version; "": none does
	refused bool    // the disk or a limit refused what came
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.write(p)
	if err != nil {
		s.refused = true
		return n, failure.Because(failure.Storage, err)
	}
	s.progress(s.done, s.total)
	return n, nil
}

func (s *sink) write(p []byte) (int, error) {
	if s.done+int64(len(p)) > s.max {
		return 0, failure.New(failure.Download, "package has more than %d bytes", s.max)
	}
	if err := s.step.Before("fetch write"); err != nil {
		return 0, err
	}
	n, err := s.file.Write(p)
	_, _ = s.digests.Write(p[:n])
	return n, err
}

// restart forgets what came; what comes now is of another version.
func (s *sink) restart(v version) error {
	err := s.clear()
	if err == nil {
		s.version = v
		err = s.saveVersion()
	}
	s.refused = s.refused || err != nil
	return failure.Because(failure.Storage, err)
}

func (s *sink) clear() error {
	s.digests = newDigests()
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.file.Truncate(0)
}

func (s *sink) sync() error {
	if err := s.step.Before("fetch fsync"); err != nil {
		return err
	}
	return s.file.Sync()
}
