package pack

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Program holds the requirements of an executable file.
type Program struct {
	Arch   string // Go's name; "" for a script, or a machine without packages
	Loader string // of a dynamically linked program, else ""
	Needs  []string
}

// ReadProgram reads the ELF header of an executable file. It returns an empty Program for
// a file that is not ELF, such as a script.
func ReadProgram(path string) (Program, error) {
	f, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Program{}, nil
	}
	if err != nil {
		return Program{}, err
	}
	defer f.Close()
	var p Program
	switch f.Machine {
	case elf.EM_X86_64:
		p.Arch = "amd64"
	case elf.EM_AARCH64:
		p.Arch = "arm64"
	}
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP && segment.Filesz < 4096 {
			b := make([]byte, segment.Filesz)
			if _, err := segment.ReadAt(b, 0); err == nil {
				p.Loader = strings.TrimRight(string(b), "\x00")
			}
		}
	}
	p.Needs, _ = f.ImportedLibraries() // a damaged list is ignored
	return p, nil
}

// String returns the requirements for a host, "" for none.
func (p Program) String() string {
	if p.Loader == "" {
		return ""
	}
	return fmt.Sprintf("is linked dynamically and needs on each host: %s", strings.Join(append([]string{p.Loader}, p.Needs...), ", "))
}
