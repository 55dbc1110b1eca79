package dumps

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gokafka/compat_test/harness"
)

// corpus writes files below dir and collects the runs over them.
type corpus struct {
	dir  string
	rand *rand.Rand
	runs []Run
}

// Write makes the corpus in dir, and the runs over it. The same seed makes the same bytes. Nothing is compressed on the way, so that
// no version of a compressor matters: compressed batches come from Apache's own data, and from the legacy sets of package record.
func Write(dir string, seed int64) ([]Run, error) {
	c := &corpus{dir: dir, rand: rand.New(rand.NewSource(seed))}
	for _, step := range []func() error{c.apacheDirs, c.legacySets, c.made, c.damaged, c.names} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.runs, nil
}

func (c *corpus) run(args ...string) { c.runs = append(c.runs, Run{Args: args}) }

func (c *corpus) write(name string, b []byte) error {
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

func (c *corpus) read(name string) ([]byte, error) { return os.ReadFile(filepath.Join(c.dir, name)) }

// modes are the runs that make sense for a file.
func (c *corpus) modes(name string) {
	c.run("--files", name)
	switch filepath.Ext(name) {
	case ".log", ".checkpoint":
		c.run("--files", name, "--print-data-log")
		c.run("--files", name, "--deep-iteration")
		c.run("--files", name, "--skip-record-metadata", "--print-data-log")
		c.run("--files", name, "--max-bytes", "1500")
		switch {
		case strings.Contains(name, "offsets"):
			c.run("--files", name, "--offsets-decoder")
			c.run("--files", name, "--offsets-decoder", "--skip-record-metadata")
		case strings.Contains(name, "transaction"):
			c.run("--files", name, "--transaction-log-decoder")
		}
	case ".index", ".timeindex":
		c.run("--files", name, "--verify-index-only")
		c.run("--files", name, "--index-sanity-check")
		c.run("--files", name, "--max-message-size", "300")
	}
}

// apacheDirs are the two directories that Apache 3.9 wrote.
func (c *corpus) apacheDirs() error {
	src, err := harness.SourceDir()
	if err != nil {
		return err
	}
	for _, d := range []struct{ short, name string }{{"clean", "apache-3.9-data-dir"}, {"unclean", "apache-3.9-data-dir-unclean"}} {
		if err := c.unpack(filepath.Join(src, "..", "testdata", "apache-3.9", d.name+".tar.gz"), d.name, d.short); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		names, err := c.files(d.short)
		if err != nil {
			return err
		}
		var known []string
		for _, name := range names {
			switch filepath.Ext(name) {
			case ".log", ".index", ".timeindex", ".txnindex", ".snapshot":
				c.modes(name)
				known = append(known, name)
			case ".metadata":
				c.run("--files", name)
			}
		}
		c.runs = append(c.runs, Run{Args: []string{"--files", strings.Join(known, ","), "--verify-index-only"}, Paths: true})
	}
	return nil
}

func (c *corpus) unpack(archive, top, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(strings.TrimPrefix(h.Name, "./"), top+"/")
		if h.Typeflag != tar.TypeReg || !ok || !filepath.IsLocal(name) {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := c.write(to+"/"+name, b); err != nil {
			return err
		}
	}
}

// files are the files of partitions below a directory of the corpus, in order.
func (c *corpus) files(dir string) (names []string, err error) {
	err = filepath.WalkDir(filepath.Join(c.dir, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(c.dir, path)
		if rel = filepath.ToSlash(rel); strings.Count(rel, "/") == 2 {
			names = append(names, rel)
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// legacySets are message sets of magic 0 and 1 as Kafka's own builder made them, alone and one behind the other.
func (c *corpus) legacySets() error {
	src, err := harness.SourceDir()
	if err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(src, "..", "record", "testdata", "legacy-sets.txt.gz"))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	var all []byte
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		set, err := hex.DecodeString(text)
		if err != nil {
			return fmt.Errorf("legacy set %s: %w", name, err)
		}
		if len(set) > 50000 { // a large plain value, which tells nothing
			continue
		}
		all = append(all, set...)
		file := "legacy/" + name + "/00000000000000000000.log"
		if err := c.write(file, set); err != nil {
			return err
		}
		c.run("--files", file)
		if !strings.HasPrefix(name, "big") {
			c.run("--files", file, "--print-data-log")
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := c.write("legacy/all/00000000000000000000.log", all); err != nil {
		return err
	}
	c.run("--files", "legacy/all/00000000000000000000.log", "--deep-iteration")
	c.run("--files", "legacy/all/00000000000000000000.log", "--deep-iteration", "--skip-record-metadata")
	return nil
}
