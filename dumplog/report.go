package dumplog

import (
	"fmt"
)

// maxReported bounds the pairs that are kept for the end of a run: with hostile files there may be one for each record.
const maxReported = 10 << 20

// fileReports are pairs of numbers about files, for the end of the run.
type fileReports struct {
	files []fileReport
	byKey map[string]int
	total int
}

type fileReport struct {
	path  string
	pairs [][2]int64
}

// add keeps a pair about the file at path.
func (r *fileReports) add(path string, a, b int64) error {
	abs, err := absolutePath(path)
	if err != nil {
		return err
	}
	if r.total++; r.total > maxReported {
		return fmt.Errorf("more than %d reports", maxReported)
	}
	i, ok := r.byKey[abs]
	if !ok {
		if r.byKey == nil {
			r.byKey = map[string]int{}
		}
		i = len(r.files)
		r.byKey[abs] = i
		r.files = append(r.files, fileReport{path: abs})
	}
	r.files[i].pairs = append(r.files[i].pairs, [2]int64{a, b})
	return nil
}

// print prints the files in the order of Scala's map; newestFirst reverses the pairs, which Apache prepends to a list there.
func (r *fileReports) print(d *dumper, title func(path string) string, line string, newestFirst bool) {
	var h scalaHash
	for i := range r.files {
		h.grow()
		h.put(i, javaHash(r.files[i].path))
	}
	for _, i := range h.order() {
		report := r.files[i]
		d.errorln(title(report.path))
		for j, p := range report.pairs {
			if newestFirst {
				p = report.pairs[len(report.pairs)-1-j]
			}
			d.errorf(line, p[0], p[1])
		}
	}
}

// report prints what did not fit together.
func (d *dumper) report() {
	with := func(s string) func(string) string { return func(path string) string { return s + path } }
	d.offsetMismatches.print(d, with("Mismatches in :"), "  Index offset: %d, log offset: %d", true)
	d.timeMismatches.print(d, with("Found timestamp mismatch in :"), "  Index timestamp: %d, log timestamp: %d", false)
	d.timeOutOfOrder.print(d, with("Found out of order timestamp in :"), "  Index timestamp: %d, Previously indexed timestamp: %d", false)
	d.timeNotFound.print(d, func(string) string { return "The following indexed offsets are not found in the log." },
		"Indexed offset: %d, found log offset: %d", false)
	d.nonConsecutive.print(d, with("Non-consecutive offsets in "), "  %d is followed by %d", true)
}
