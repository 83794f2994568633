package pack

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Program is what an executable file says about itself.
type Program struct {
	Arch   string // as Go names it; "" for a script, or a machine that has no package
	Loader string // of a program that is linked dynamically, else ""
	Needs  []string
}

// ReadProgram reads the head of an executable file. One that is no ELF program,
// as a script, says nothing.
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
	p.Needs, _ = f.ImportedLibraries() // what is damaged there is not ours to judge
	return p, nil
}

// String says what the program needs of a host, "" for nothing.
func (p Program) String() string {
	if p.Loader == "" {
		return ""
	}
	return fmt.Sprintf("is linked dynamically and needs on each host: %s", strings.Join(append([]string{p.Loader}, p.Needs...), ", "))
}
