package boltfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"

	"pluginsupervisor/internal/durable"
)

// Create makes an empty database in a new file with mode perm, regardless of the
// umask. Until it returns, the file is a damaged database. The content is flushed, the
// folder is not; the mode is flushed with the first transaction, which extends the
// file.
func Create(path string, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{
		NoStatistics: true,
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	return errors.Join(f.Chmod(perm), db.Close())
}

// createWhole makes an empty database, unless path exists by then. The file appears
// complete or not at all, also after a power failure.
func createWhole(path string, perm fs.FileMode) error {
	temp := durable.TempName(path + "." + rand.Text())
	err := Create(temp, perm)
	if err == nil {
		err = renameToFree(temp, path)
	}
	if err == nil {
		return nil
	}
	if err = errors.Join(err, os.RemoveAll(temp)); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return fmt.Errorf("create database: %w", err)
}
