// Package show prints what a command has found out: as a table for people, or as JSON.
//
// Central type: View. Whatever comes from outside is printed without control characters.
package show

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// View is something that can be printed: JSON is made of it by its tags, a table by its method.
type View interface{ Table() Table }

// Format is how a view is printed.
type Format string

// The formats.
const (
	AsTable Format = "table"
	AsJSON  Format = "json"
)

// ParseFormat reads a format's name.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case AsTable, AsJSON:
		return f, nil
	}
	return "", fmt.Errorf("output %q: must be table or json", s)
}

// Print writes v.
func Print(w io.Writer, v View, f Format) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if f == AsJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return err
		}
		return out.Flush()
	}
	t := v.Table()
	for at := &t; at != nil; at = at.Next {
		at.write(out)
		if at.Next != nil {
			out.WriteByte('\n')
		}
	}
	return out.Flush() // reports what the writes before it met
}

// Table is rows of cells under a header, which may be missing. Columns are as wide as their widest cell.
type Table struct {
	Header []string
	Next   *Table // comes below
	rows   [][]string
}

// Add appends a row. A cell with nothing in it becomes a dash.
func (t *Table) Add(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
		if c == "" {
			cells[i] = "-"
		}
	}
	t.rows = append(t.rows, cells)
}

func (t *Table) write(out *bufio.Writer) {
	var widths []int
	measure := func(cells []string) {
		for i, c := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	measure(t.Header)
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
	line(t.Header)
	for _, r := range t.rows {
		line(r)
	}
}

// Line is text from outside on one line.
func Line(s string) string { return printable(strings.Join(strings.Fields(s), " ")) }

// printable replaces what could move a terminal's cursor or change its colours.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
