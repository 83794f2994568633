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

	"pluginsupervisor/internal/controlplane/depot"
)

// How much is kept of what hosts tell; the oldest goes first.
const (
	keptChanges = 50  // status changes a plugin of a host
	keptEvents  = 100 // events a host
	// keptBytes is how much their keywords may have together, in bytes; the
	// newest stays in any case.
	keptBytes = 24 << 20
)

// Store keeps what the hosts told and what operators decided, in one SQLite
// file, and packages in a folder beside it. Its methods may be called by several
// goroutines at once. One that changes something returns nil only when the
// change is on the disk (CP-04).
type Store struct {
	read   *sql.DB
	writer *writer

	packageMu sync.Mutex // held while packages change: rows and files change together
	depot     *depot.Depot
}

// Open opens the database file and creates it, readable by its owner alone,
// where there is none; likewise the folder of that name and "-packages". It
// fails with ErrNewerSchema on the file of a later version, and when another
// process has it open.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
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
	// where the busy timeout holds, not halfway through.
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
	if err := s.keepPackages(ctx, abs+"-packages"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func dsn(path string, params url.Values) string {
	params.Set("_busy_timeout", "5000")
	params.Set("_foreign_keys", "1")
	return (&url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}).String()
}

// Close commits what is queued and closes the database. Changes asked for
// afterwards fail with ErrClosed.
func (s *Store) Close() error {
	err := errors.Join(s.writer.close(), s.read.Close())
	if s.depot != nil { // it was not opened where that is why Open failed
		s.depot.Close()
	}
	return err
}

// list runs a query and collects what scan makes of each row.
func list[T any](ctx context.Context, db *sql.DB, scan func(row *sql.Rows) (T, error), query string, args ...any) ([]T, error) {
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

// milli reads a time as the database has it.
func milli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
