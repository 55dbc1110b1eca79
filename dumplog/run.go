package dumplog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"gokafka/record"
)

// recordIndent is in front of each record.
const recordIndent = "| "

// dumper is one run.
type dumper struct {
	ctx    context.Context // of this one run
	o      Options
	out    *bufio.Writer
	errs   *bufio.Writer
	open   func(path string) (*file, error)
	codecs *record.Codecs
	block  []byte // decompression buffer
	batch  []byte // buffer of a whole batch
	limit  int    // bytes of either, maxBatchBytes but in tests

	offsetMismatches fileReports
	nonConsecutive   fileReports
	timeMismatches   fileReports
	timeOutOfOrder   fileReports
	timeNotFound     fileReports
}

// Run dumps the files one after the other, then prints what did not fit together. An error ends it: the files after it and the
// reports are not printed then, as with Apache's tool, which exits with 1 where Run returns one. The end of ctx ends it too.
func Run(ctx context.Context, o Options, stdout, stderr io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	return newDumper(ctx, o, stdout, stderr).run()
}

func newDumper(ctx context.Context, o Options, stdout, stderr io.Writer) *dumper {
	return &dumper{ctx: ctx, o: o, out: bufio.NewWriterSize(stdout, 64<<10), errs: bufio.NewWriter(stderr), open: openFile, codecs: record.NewCodecs(),
		limit: maxBatchBytes}
}

func (d *dumper) run() error {
	err := d.files()
	if flushErr := d.flush(); err == nil {
		err = flushErr
	}
	return err
}

func (d *dumper) files() error {
	for _, name := range d.o.Files {
		path := javaPath(name)
		d.println("Dumping ", path)
		if err := d.file(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	d.report()
	return nil
}

func (d *dumper) file(path string) error {
	name := baseName(path)
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return fmt.Errorf("the file name has no suffix")
	}
	switch name[dot:] {
	case ".log", ".checkpoint":
		return d.log(path, name)
	case ".index":
		return d.offsetIndex(path, name)
	case ".timeindex":
		return d.timeIndex(path, name)
	case ".snapshot":
		return d.snapshot(path)
	case ".txnindex":
		return d.txnIndex(path, name)
	}
	d.errorln("Ignoring unknown file ", path)
	return nil
}

// goOn is asked before each batch and each index entry: nobody may wait for the rest any more.
func (d *dumper) goOn() error {
	if _, err := d.out.Write(nil); err != nil { // the first error of the writer
		return fmt.Errorf("standard output: %w", err)
	}
	return d.ctx.Err()
}

// flush writes out what is buffered; the only errors are those of the writers.
func (d *dumper) flush() error {
	if err := d.out.Flush(); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	if err := d.errs.Flush(); err != nil {
		return fmt.Errorf("standard error: %w", err)
	}
	return nil
}

// print writes to standard output. A bufio.Writer keeps its first error until flush.
func (d *dumper) print(parts ...string) {
	for _, s := range parts {
		d.out.WriteString(s)
	}
}

func (d *dumper) println(parts ...string) {
	d.print(parts...)
	d.out.WriteByte('\n')
}

func (d *dumper) printf(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

// errorln writes a line to standard error, after what standard output has got so far.
func (d *dumper) errorln(parts ...string) {
	d.out.Flush() // its error stays in the writer
	for _, s := range parts {
		d.errs.WriteString(s)
	}
	d.errs.WriteByte('\n')
	d.errs.Flush()
}

func (d *dumper) errorf(format string, args ...any) { d.errorln(fmt.Sprintf(format, args...)) }
