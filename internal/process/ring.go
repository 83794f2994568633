package process

import "io"

// ringSize is the number of bytes of a command's output that are kept by default (SPEC 11).
const ringSize = 64 << 10

// ring keeps the last bytes read into it. It grows with the output, because most commands print one
// line or nothing.
type ring struct {
	keep int // in bytes; ≤ 0: ringSize
	buf  []byte
	next int  // index of the next byte
	full bool // buf has its full size and every byte was written
}

// ReadFrom reads from src into the ring until an error or io.EOF.
func (r *ring) ReadFrom(src io.Reader) (int64, error) {
	var total int64
	for {
		n, err := src.Read(r.freeSpace())
		r.next += n
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// freeSpace returns the part of the buffer to read into, never empty: free space, or the oldest bytes.
func (r *ring) freeSpace() []byte {
	if r.next == len(r.buf) {
		size := r.keep
		if size <= 0 {
			size = ringSize
		}
		if len(r.buf) < size {
			grown := make([]byte, min(max(512, 8*len(r.buf)), size))
			copy(grown, r.buf)
			r.buf = grown
		} else {
			r.next, r.full = 0, true
		}
	}
	return r.buf[r.next:]
}

func (r *ring) String() string {
	if !r.full {
		return string(r.buf[:r.next])
	}
	return string(r.buf[r.next:]) + string(r.buf[:r.next])
}
