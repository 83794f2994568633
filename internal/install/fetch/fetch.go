// Package fetch copies a package into a file, from a path, a file:// or an
// http(s):// URL, and computes its digests on the way.
//
// An interrupted download is resumed, as long as the server confirms that the
// file is the same (If-Range with its ETag or date); otherwise it starts over.
// With Resume a later process can resume it too. Limits are the total time, the
// size, the time without progress, and the number of attempts without progress.
// Errors are *failure.Error: NotFound, NotZip (not a regular file) or Unzip (too
// large) for a local file, Download for a wrong URL or an error of the server,
// Storage when a file cannot be read or written.
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

// Config holds the limits of a Fetcher. Zero means the default.
type Config struct {
	Timeout time.Duration // of one fetch with all attempts (install.fetch_timeout); 6 h
	Connect time.Duration // until connected, and until the response begins; 5 s
	Stall   time.Duration // over which MinRate is measured (install.stall); 30 s
	MinRate int64         // minimum speed (install.min_rate), in bytes a second; 1 KiB
	MaxSize int64         // of a package, in bytes; 512 MiB

	Tries      int           // attempts in a row without progress; 5
	FirstPause time.Duration // between two attempts, doubled each time up to 5 s; 250 ms

	// Jitter varies a pause so that hosts do not retry at the same time; nil: no
	// jitter.
	Jitter func(time.Duration) time.Duration
	TLS    *tls.Config // nil: the default
	// Origin is the URL of the only server that OriginTLS, with its client
	// certificate, is used for; not after a redirect from another server. "": none.
	Origin    string
	OriginTLS *tls.Config
	CA        trust.Authorities // verifies servers
	Proxy     *url.URL          // nil: the proxy of the environment
	Step      failpoint.Step
	Client    string // the User-Agent
}

// Sums holds the digests of a fetched file, in lower-case hex.
type Sums struct {
	SHA256, MD5 string
	Size        int64 // bytes
}

// Progress receives the number of bytes so far and in total; total is -1 if
// unknown. A download that starts over begins at 0 again.
type Progress func(done, total int64)

// Fetcher fetches packages. It is safe for concurrent use.
type Fetcher struct {
	cfg  Config
	http *http.Client
}

const (
	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes
)

// New makes a Fetcher. It makes no connection.
func New(cfg Config) *Fetcher {
	cfg.Timeout = valueOr(cfg.Timeout, 6*time.Hour)
	cfg.Connect = valueOr(cfg.Connect, 5*time.Second)
	cfg.Stall = valueOr(cfg.Stall, 30*time.Second)
	cfg.MinRate = valueOr(cfg.MinRate, 1<<10)
	cfg.MaxSize = valueOr(cfg.MaxSize, 512<<20)
	cfg.Tries = valueOr(cfg.Tries, 5)
	cfg.FirstPause = valueOr(cfg.FirstPause, 250*time.Millisecond)
	return &Fetcher{cfg: cfg, http: &http.Client{CheckRedirect: checkRedirect, Transport: newTransport(cfg)}}
}

func valueOr[T int | int64 | time.Duration](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}

// Close closes idle connections.
func (f *Fetcher) Close() { f.http.CloseIdleConnections() }

// IsRemote reports whether a source is an http or https URL.
func IsRemote(source string) bool {
	u, err := url.Parse(source)
	return err == nil && isWeb(u)
}

func isWeb(u *url.URL) bool { return u.Scheme == "http" || u.Scheme == "https" }

// Fetch writes the source to a new file at the path to and flushes it. After an
// error the file may be incomplete.
func (f *Fetcher) Fetch(ctx context.Context, source, to string, progress Progress) (Sums, error) {
	s, err := f.openSink(to, os.O_EXCL, progress)
	if err != nil {
		return Sums{}, err
	}
	err = f.fillSink(ctx, source, s)
	return s.sums(), err
}

// openSink opens a file and returns its sink.
func (f *Fetcher) openSink(path string, flags int, progress Progress) (*sink, error) {
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

// fillSink writes the source to the sink, and closes it.
func (f *Fetcher) fillSink(ctx context.Context, source string, s *sink) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.cfg.Timeout, timeoutError(f.cfg.Timeout))
	defer cancel()
	err := s.loadPartial(ctx)
	if err == nil {
		err = f.copySource(ctx, source, s)
	}
	if err == nil {
		err = failure.Because(failure.Storage, s.syncFile())
	}
	if closed := s.file.Close(); err == nil {
		err = failure.Because(failure.Storage, closed)
	}
	return err
}

// timeoutError is the error of a fetch that took longer than Config.Timeout.
type timeoutError time.Duration

func (t timeoutError) Error() string {
	return fmt.Sprintf("not complete within %v (install.fetch_timeout)", time.Duration(t))
}

// Is reports whether target is context.DeadlineExceeded.
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// copySource copies the source into the sink.
func (f *Fetcher) copySource(ctx context.Context, source string, s *sink) error {
	u, err := url.Parse(source)
	switch {
	case err == nil && isWeb(u) && u.Host != "":
		return f.download(ctx, u, s)
	case err == nil && u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"):
		return f.copyLocalFile(ctx, u.Path, s)
	case strings.Contains(source, "://"):
		return failure.New(failure.Download, "fetch: the source must be a path or a URL of http, https or file")
	default:
		return f.copyLocalFile(ctx, source, s)
	}
}

// copyLocalFile copies a file, so that the digested bytes are the unpacked ones
// even if another process writes to the original.
func (f *Fetcher) copyLocalFile(ctx context.Context, path string, s *sink) error {
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

// contextReader fails once its context is cancelled.
type contextReader struct {
	ctx context.Context // of one copy
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// digests computes the digests of the bytes written to it.
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

// sink is the file being written, with the digests of its bytes so far.
type sink struct {
	digests
	file     *os.File
	step     failpoint.Step
	progress Progress
	total    int64 // bytes; -1: unknown
	max      int64 // bytes

	version     version // of the received bytes
	versionFile string  // where the version is saved; "": nowhere
	refused     bool    // the disk or a limit does not accept the data
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.writeChunk(p)
	if err != nil {
		s.refused = true
		return n, failure.Because(failure.Storage, err)
	}
	s.progress(s.done, s.total)
	return n, nil
}

func (s *sink) writeChunk(p []byte) (int, error) {
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

// startOver empties the file; the next bytes belong to version v.
func (s *sink) startOver(v version) error {
	err := s.truncateFile()
	if err == nil {
		s.version = v
		err = s.saveVersion()
	}
	s.refused = s.refused || err != nil
	return failure.Because(failure.Storage, err)
}

func (s *sink) truncateFile() error {
	s.digests = newDigests()
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.file.Truncate(0)
}

func (s *sink) syncFile() error {
	if err := s.step.Before("fetch fsync"); err != nil {
		return err
	}
	return s.file.Sync()
}
