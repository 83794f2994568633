package transaction

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/lock"
)

// Store is the transactions and the quarantine of one root. It may be used by
// several goroutines at once, for different plugins.
type Store struct {
	dir  string // BASE/supervisor
	step failpoint.Step
}

// The folders below BASE/supervisor.
const (
	transactions = "transactions"
	quarantine   = "quarantine"
	suffix       = ".json"
)

// New returns the store of a root. It touches nothing. step is asked before
// each change of the disk; nil in production.
func New(root string, step failpoint.Step) *Store {
	return &Store{filepath.Join(root, "supervisor"), step}
}

// Save writes a transaction, over what there is of the plugin.
func (s *Store) Save(t Transaction) error {
	b, err := t.encode()
	if err == nil {
		err = s.write(transactions, t.Name, b, string(t.Step))
	}
	if err != nil {
		return fmt.Errorf("save transaction of %s: %w", t.Name, err)
	}
	return nil
}

// Find returns the transaction of a plugin, if there is one. A file that
// cannot be understood is moved aside and the error says so: what it was about
// is not known, the record tells what is installed.
func (s *Store) Find(name string) (t Transaction, found bool, err error) {
	path := s.path(transactions, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, false, nil
	}
	if err != nil {
		return t, false, fmt.Errorf("read transaction of %s: %w", name, err)
	}
	if t, err = decode(b); err == nil && t.Name != name {
		err = fmt.Errorf("it is of %q: %w", t.Name, errNotOne)
	}
	if err != nil {
		aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
		if moved := os.Rename(path, aside); moved != nil {
			aside = path
		}
		return Transaction{}, false, fmt.Errorf("read transaction of %s, kept as %s: %w", name, aside, err)
	}
	return t, true, nil
}

// Pending are all transactions there are. The error names what could not be
// read; what could is returned all the same.
func (s *Store) Pending() ([]Transaction, error) {
	files, err := s.files(transactions)
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

// files are the files of a folder, sorted. What was never finished being
// written is removed, once its writer must have been killed.
func (s *Store) files(folder string) ([]string, error) {
	dir := filepath.Join(s.dir, folder)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var files []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasSuffix(path, suffix) {
			files = append(files, path)
		}
		if info, err := e.Info(); err == nil && strings.HasSuffix(path, suffix+unwritten) && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(path) // if that fails it is tried again next time
		}
	}
	return files, nil
}

// End removes a plugin's transaction. That there is none is no error.
func (s *Store) End(name string) error {
	return s.remove(transactions, name)
}

func (s *Store) path(folder, name string) string {
	file := strings.TrimSuffix(lock.FileName(name+suffix), suffix) // a long one is cut
	return filepath.Join(s.dir, folder, file+suffix)
}

// unwritten ends the name of a file that is being written. Each plugin has but
// one writer at a time, and the next one's overwrites what is left of it.
const unwritten = ".new"

// write replaces a file at once and for good.
func (s *Store) write(folder, name string, b []byte, what string) error {
	dir := filepath.Join(s.dir, folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := s.path(folder, name)
	err := s.step.Before("write " + what)
	if err == nil {
		err = writeFlushed(path+unwritten, b)
	}
	if err == nil {
		err = s.step.Before("rename " + what)
	}
	if err == nil {
		err = os.Rename(path+unwritten, path)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(path+unwritten))
	}
	if err := s.step.Before("flush " + what); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeFlushed(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *Store) remove(folder, name string) error {
	err := s.step.Before("remove " + folder)
	if err == nil {
		err = os.RemoveAll(s.path(folder, name) + unwritten)
	}
	if err == nil {
		err = os.Remove(s.path(folder, name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Join(s.dir, folder))
	}
	if err != nil {
		return fmt.Errorf("remove %s of %s: %w", folder, name, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
