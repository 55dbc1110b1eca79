package dumplog

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// javaErrorf makes an error in the words of the exception that Apache's tool ends with, or prints.
func javaErrorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// javaPath is how java.io.File prints a path: several slashes are one, and one at the end goes.
func javaPath(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	if len(p) > 1 {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}

// baseName is File.getName.
func baseName(path string) string {
	return path[strings.LastIndexAny(path, "/"+string(os.PathSeparator))+1:]
}

// absolutePath is File.getAbsolutePath, which leaves "." and ".." where they are.
func absolutePath(path string) (string, error) {
	if strings.HasPrefix(path, "/") || os.PathSeparator != '/' {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	if path == "" {
		return dir, nil
	}
	return javaPath(dir + "/" + path), nil
}

// sibling is the path of the file beside path that has another suffix.
func sibling(path, name, suffix string) string {
	base, _, _ := strings.Cut(name, ".")
	return strings.TrimSuffix(path, name) + base + suffix
}

// baseOffset is the number in front of the first dot of a file's name.
func baseOffset(name string) (int64, error) {
	first, _, _ := strings.Cut(name, ".")
	offset, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the file name does not start with an offset: for input string: %q", first)
	}
	return offset, nil
}

// javaText is new String(b, UTF_8): what is not UTF-8 becomes U+FFFD, one for each maximal wrong part, unlike in Go, where it is one
// for each byte.
func javaText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			out = append(out, b[:n]...)
			b = b[n:]
			continue
		}
		out = append(out, "\uFFFD"...)
		b = b[malformedBytes(b):]
	}
	return string(out)
}

// malformedBytes is how many bytes at the start of b, which does not start with a character, Java replaces by one U+FFFD
// (java.lang.String.decodeUTF8_UTF16 of JDK 17).
func malformedBytes(b []byte) int {
	cont := func(i int) bool { return i < len(b) && b[i]&0xc0 == 0x80 }
	switch c := b[0]; {
	case c >= 0xc2 && c < 0xe0: // a second byte is missing
		return 1
	case c >= 0xe0 && c < 0xf0:
		switch {
		case len(b) < 2:
			return 1
		case c == 0xe0 && b[1]&0xe0 == 0x80, !cont(1):
			return 1
		case len(b) < 3: // the end is cut off
			return len(b)
		case !cont(2):
			return 2
		}
		return 3 // a surrogate
	case c >= 0xf0 && c <= 0xf4:
		switch {
		case len(b) < 2:
			return 1
		case c == 0xf0 && (b[1] < 0x90 || b[1] > 0xbf), c == 0xf4 && b[1]&0xf0 != 0x80, !cont(1):
			return 1
		case len(b) == 2:
			return 2
		case !cont(2):
			return 2
		case len(b) == 3:
			return 3
		}
		return 3
	}
	return 1
}

// optional is how java.util.OptionalLong prints itself.
func optional(v int64, present bool) string {
	if !present {
		return "OptionalLong.empty"
	}
	return "OptionalLong[" + strconv.FormatInt(v, 10) + "]"
}
