package transaction

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pluginsupervisor/internal/boltfile"
	"pluginsupervisor/internal/durable"
	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/layout"
)

// Store holds the transactions, the quarantine, the sequences and the version
// history of one root. It may be used by several goroutines at once, for different
// plugins.
type Store struct {
	root string // BASE
	step failpoint.Step
}

// New returns the store of a root. It touches no file. step is called before each
// change of the disk; nil in production.
func New(root string, step failpoint.Step) *Store {
	return &Store{root, step}
}

// Save writes the transaction of a plugin and replaces an earlier one.
func (s *Store) Save(t Transaction) error {
	b, err := t.encode()
	if err == nil {
		err = s.writeFile(layout.Transactions, t.Name, b, string(t.Step))
	}
	if err != nil {
		return fmt.Errorf("save transaction of %s: %w", t.Name, err)
	}
	return nil
}

// Find returns the transaction of a plugin, if there is one. A file that cannot be
// parsed is moved aside, and the error says so: the record says what is installed.
func (s *Store) Find(name string) (t Transaction, found bool, err error) {
	path := s.filePath(layout.Transactions, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, false, nil
	}
	if err != nil {
		return t, false, fmt.Errorf("read transaction of %s: %w", name, err)
	}
	if t, err = decode(b); err == nil && t.Name != name {
		err = fmt.Errorf("it names plugin %q: %w", t.Name, errNotTransaction)
	}
	if err != nil {
		kept, failed := boltfile.SetAside(path, time.Now())
		if failed != nil {
			kept = path
		}
		return Transaction{}, false, fmt.Errorf("read transaction of %s, kept as %s: %w", name, kept, err)
	}
	return t, true, nil
}

// ListPending returns all transactions. The error names the files that could not be
// read; the others are returned all the same.
func (s *Store) ListPending() ([]Transaction, error) {
	files, err := s.listFiles(layout.Transactions)
	var pending []Transaction
	for _, path := range files {
		b, failed := os.ReadFile(path)
		var t Transaction
		if failed == nil {
			t, failed = decode(b)
		}
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("read %s: %w", path, failed))
			continue
		}
		pending = append(pending, t)
	}
	return pending, err
}

// listFiles returns the files of a folder, sorted. It removes temporary files whose
// writer must have been killed.
func (s *Store) listFiles(folder string) ([]string, error) {
	dir := layout.Notes(s.root, folder)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var files []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if layout.IsNote(path) {
			files = append(files, path)
		}
		isTemp := strings.HasSuffix(path, durable.TempSuffix) // nothing else in the folder ends so
		if info, err := e.Info(); err == nil && isTemp && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(path) // the next call retries
		}
	}
	return files, nil
}

// Remove removes a plugin's transaction. A missing one is no error.
func (s *Store) Remove(name string) error {
	return s.removeFile(layout.Transactions, name)
}

func (s *Store) filePath(folder, name string) string {
	return layout.Note(s.root, folder, name)
}

// writeFile replaces a file. Each plugin has one writer at a time.
func (s *Store) writeFile(folder, name string, b []byte, what string) error {
	dir := layout.Notes(s.root, folder)
	if err := durable.MakeFolder(dir, 0o750); err != nil {
		return err
	}
	step := func(name string) error { return s.step.Before(name + " " + what) }
	return durable.WriteFile(s.filePath(folder, name), b, 0o600, step)
}

func (s *Store) removeFile(folder, name string) error {
	path := s.filePath(folder, name)
	err := s.step.Before("remove " + folder)
	if err == nil {
		err = os.RemoveAll(durable.TempName(path))
	}
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.FlushFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("remove %s of %s: %w", folder, name, err)
	}
	return nil
}
