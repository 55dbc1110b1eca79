package clusterview

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// View is something that can be printed.
type View interface{ table() table }

// Format is how a view is printed.
type Format string

// The formats.
const (
	Table Format = "table"
	JSON  Format = "json"
)

// ParseFormat reads a format's name.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case Table, JSON:
		return f, nil
	}
	return "", fmt.Errorf("output %q: must be table or json", s)
}

// Print writes v.
func Print(w io.Writer, v View, f Format) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if f == JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return err
		}
		return out.Flush()
	}
	t := v.table()
	for at := &t; at != nil; at = at.next {
		at.write(out)
		if at.next != nil {
			out.WriteByte('\n')
		}
	}
	return out.Flush() // reports what the writes before it met
}

// table is rows of cells under a header, which may be missing. Columns are as wide as their widest cell.
type table struct {
	header []string
	rows   [][]string
	next   *table // comes below
}

func (t *table) add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
		if c == "" {
			cells[i] = "-"
		}
	}
	t.rows = append(t.rows, cells)
}

func (t *table) write(out *bufio.Writer) {
	var widths []int
	measure := func(cells []string) {
		for i, c := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	measure(t.header)
	for _, r := range t.rows {
		measure(r)
	}
	line := func(cells []string) {
		for i, c := range cells {
			out.WriteString(c)
			if i == len(cells)-1 {
				out.WriteByte('\n')
				return
			}
			for range widths[i] - utf8.RuneCountInString(c) + 2 {
				out.WriteByte(' ')
			}
		}
	}
	line(t.header)
	for _, r := range t.rows {
		line(r)
	}
}

// printable replaces what could move a terminal's cursor or change its colours.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
