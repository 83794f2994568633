package process

import "io"

// ringSize is how much of a command's output is kept, in bytes, if the command
// does not say otherwise (SPEC 11).
const ringSize = 64 << 10

// ring keeps the last bytes read into it. Memory is taken as output comes:
// most commands print a line or nothing.
type ring struct {
	keep int // how many bytes; ≤ 0: ringSize
	buf  []byte
	next int  // where the next byte goes
	full bool // buf has all the bytes to keep and all of them were written
}

// ReadFrom reads all there is, straight into the ring, until an error or io.EOF.
func (r *ring) ReadFrom(src io.Reader) (int64, error) {
	var total int64
	for {
		n, err := src.Read(r.space())
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

// space is where to read into, never empty: behind what is there, or over the oldest.
func (r *ring) space() []byte {
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
