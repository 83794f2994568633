package controlplane

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the "sqlite" driver of database/sql

	"pluginsupervisor/internal/controlplane/packagestore"
)

// Limits of the stored history of hosts; the oldest is removed first.
const (
	maxChanges = 50  // status changes a plugin of a host
	maxEvents  = 100 // events a host
	// maxEventBytes limits the keywords of a host's events in total; the newest
	// always stays.
	maxEventBytes = 24 << 20
)

// Store holds the reports of hosts and the settings of operators in one SQLite
// file, and packages in a folder beside it. Its methods may be called by several
// goroutines at once. A method that changes data returns nil only when the change
// is on the disk (CP-04).
type Store struct {
	read   *sql.DB
	writer *writer

	packageMu sync.Mutex // held while packages change: rows and files change together
	files     *packagestore.Store
}

// Open opens the database file and the folder of that name and "-packages". It
// creates what is missing, readable by the owner only. It fails with
// ErrNewerSchema on the file of a later version, and when another process has it
// open.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := openDatabase(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

func openDatabase(ctx context.Context, path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// SQLite would create it readable by all; its side files take the mode of this one.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	// Immediate transactions: a writer waits for another process at BEGIN,
	// where the busy timeout applies, not in the middle.
	write, err := sql.Open("sqlite", dsn(abs, url.Values{
		"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_txlock": {"immediate"},
	}))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := sql.Open("sqlite", dsn(abs, url.Values{"_query_only": {"1"}}))
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	s := &Store{read: read, writer: newWriter(write)}
	if err := s.openPackageFiles(ctx, abs+"-packages"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func dsn(path string, params url.Values) string {
	params.Set("_busy_timeout", "5000")
	params.Set("_foreign_keys", "1")
	return (&url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}).String()
}

// Close commits the queued changes and closes the database. Later changes fail
// with ErrClosed.
func (s *Store) Close() error {
	err := errors.Join(s.writer.close(), s.read.Close())
	if s.files != nil { // nil when Open failed to open it
		s.files.Close()
	}
	return err
}

// queryRows runs a query and returns its rows, each read by scan.
func queryRows[T any](ctx context.Context, db *sql.DB, scan func(row *sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// timeOfMillis returns the time of Unix milliseconds, in UTC.
func timeOfMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
