package config

import (
	"fmt"
	"strconv"
	"unicode/utf16"
)

// ParseProperties reads the format of java.util.Properties: ISO 8859-1, escapes, continued lines; the last of equal keys
// wins. Values are not expanded, for Kafka does not: "${a}" is a value like another.
//
// The reader is our own because those at hand differ from Java's where it hurts: a continued line in a file with
// Windows line ends, a backslash at the end of the file.
func ParseProperties(data []byte) (map[string]string, error) {
	r := lineReader{data: data}
	out := map[string]string{}
	for {
		line, ok := r.next()
		if !ok {
			return out, nil
		}
		key, value := splitLine(line)
		k, err := unescape(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		}
		if out[k], err = unescape(value); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		}
	}
}

// lineReader gives logical lines: comments and blank lines dropped, continued lines joined, escapes as they stand.
type lineReader struct {
	data []byte
	line int // number of the last natural line read
}

// next follows Properties.LineReader.readLine. A line that is empty so far may still turn out to be a comment, even
// after a lone backslash.
func (r *lineReader) next() ([]byte, bool) {
	var line []byte
	for len(r.data) > 0 {
		natural := r.natural()
		for len(natural) > 0 && isBlank(natural[0]) {
			natural = natural[1:]
		}
		if len(line) == 0 && (len(natural) == 0 || natural[0] == '#' || natural[0] == '!') {
			continue
		}
		line = append(line, natural...)
		if !continued(natural) {
			return line, true
		}
		line = line[:len(line)-1]
	}
	return line, len(line) > 0
}

// natural cuts the next line off; it ends with \n, \r, \r\n or the data.
func (r *lineReader) natural() []byte {
	r.line++
	for i, c := range r.data {
		if c != '\n' && c != '\r' {
			continue
		}
		line := r.data[:i]
		if c == '\r' && i+1 < len(r.data) && r.data[i+1] == '\n' {
			i++
		}
		r.data = r.data[i+1:]
		return line
	}
	line := r.data
	r.data = nil
	return line
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\f' }

// continued says whether line ends with an odd number of backslashes.
func continued(line []byte) bool {
	n := 0
	for n < len(line) && line[len(line)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// splitLine cuts at the first =, : or blank that is not escaped; blanks and one = or : around are dropped.
func splitLine(line []byte) (key, value []byte) {
	end := 0
	for end < len(line) && line[end] != '=' && line[end] != ':' && !isBlank(line[end]) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	key, value = line[:end], line[end:]
	separator := false
	for len(value) > 0 {
		c := value[0]
		if !isBlank(c) && (separator || c != '=' && c != ':') {
			break
		}
		separator = separator || !isBlank(c)
		value = value[1:]
	}
	return key, value
}

// unescape follows Properties.loadConvert: \t \n \r \f and \uXXXX, and of other escapes the character itself.
func unescape(b []byte) (string, error) {
	units := make([]uint16, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			units = append(units, uint16(b[i]))
			continue
		}
		i++
		switch b[i] {
		case 't':
			units = append(units, '\t')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 'f':
			units = append(units, '\f')
		case 'u':
			n, err := hex4(b[i+1:])
			if err != nil {
				return "", err
			}
			units = append(units, n)
			i += 4
		default:
			units = append(units, uint16(b[i]))
		}
	}
	return string(utf16.Decode(units)), nil
}

// hex4 is the number after \u.
func hex4(b []byte) (uint16, error) {
	if len(b) >= 4 {
		if n, err := strconv.ParseUint(string(b[:4]), 16, 16); err == nil {
			return uint16(n), nil
		}
	}
	return 0, fmt.Errorf("malformed \\uXXXX encoding in %q", b)
}
