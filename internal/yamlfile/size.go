package yamlfile

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// Units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	TiB Size = 1 << 40
)

// sizeUnits holds the units, the largest first.
var sizeUnits = [...]struct {
	name  string
	bytes Size
}{{"TiB", TiB}, {"GiB", 1 << 30}, {"MiB", MiB}, {"KiB", KiB}}

var errNotSize = errors.New("is not a size")

// ParseSize parses a whole number of bytes, with or without a unit: 1024, 512MiB.
func ParseSize(s string) (Size, error) {
	unit := Size(1)
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimRight(number, " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || Size(n) > math.MaxInt64/unit {
		return 0, errNotSize
	}
	return Size(n) * unit, nil
}

// String returns the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
