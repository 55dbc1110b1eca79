package dumps

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// damaged are files of Apache's, and of the made ones, cut short, with wrong bytes, and with something behind them.
func (c *corpus) damaged() error {
	for _, from := range []struct {
		dir, stem string
		n         int
	}{
		{"clean/idem-0", "00000000000000000109", 10}, {"clean/txn-0", "00000000000000000020", 10}, {"clean/compacted-0", "00000000000000000000", 6},
		{"clean/plain-0", "00000000000000000000", 6}, {"clean/logappend-0", "00000000000000000000", 4},
		{"clean/codecs-1", "00000000000000000000", 5}, {"clean/codecs-2", "00000000000000000000", 5}, {"clean/codecs-3", "00000000000000000000", 5},
		{"clean/codecs-4", "00000000000000000000", 5}, {"clean/__transaction_state-1", "00000000000000000000", 4},
		{"legacy/plain-0-none", "00000000000000000000", 6}, {"legacy/plain-1-none", "00000000000000000000", 6}, {"legacy/plain-0-gzip", "00000000000000000000", 4},
		{"legacy/plain-1-gzip", "00000000000000000000", 4}, {"legacy/plain-0-lz4", "00000000000000000000", 4}, {"legacy/plain-1-lz4", "00000000000000000000", 4},
		{"legacy/gaps-1-snappy", "00000000000000000000", 4}, {"legacy/logappend-1-snappy", "00000000000000000000", 4},
	} {
		for i := range from.n {
			if err := c.damageOne(from.dir, from.stem, i); err != nil {
				return err
			}
		}
	}
	for i := range 60 {
		if err := c.damageAlone("clean/idem-0/00000000000000000109.snapshot", "snapshot", i); err != nil {
			return err
		}
		if err := c.damageAlone("clean/txn-0/00000000000000000020.txnindex", "txnindex", i); err != nil {
			return err
		}
	}
	return nil
}

// damageOne copies a segment with its indexes and damages one of the files.
func (c *corpus) damageOne(dir, stem string, i int) error {
	to := fmt.Sprintf("damaged/%s-%d", strings.ReplaceAll(dir, "/", "-"), i)
	for j, ext := range []string{".log", ".index", ".timeindex"} {
		b, err := c.read(dir + "/" + stem + ext)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		if i%3 == j || ext == ".log" && i%2 == 0 {
			b = c.damage(b)
		}
		name := to + "/" + stem + ext
		if err := c.write(name, b); err != nil {
			return err
		}
		c.run("--files", name)
		if ext == ".log" {
			c.run("--files", name, "--print-data-log")
		} else {
			c.run("--files", name, "--index-sanity-check")
		}
	}
	return nil
}

func (c *corpus) damageAlone(from, kind string, i int) error {
	b, err := c.read(from)
	if err != nil {
		return err
	}
	switch i % 4 {
	case 0:
		b = b[:c.rand.Intn(len(b)+1)]
	case 1:
		b = slices.Clone(b)
		b[min(len(b)-1, c.rand.Intn(12))] ^= 1 << c.rand.Intn(8) // the head
	default:
		b = c.damage(b)
	}
	name := fmt.Sprintf("damaged/%s-%d/%s", kind, i, filepath.Base(from))
	c.run("--files", name)
	return c.write(name, b)
}

// damage changes a few bytes, cuts some off, takes some out, or adds some.
func (c *corpus) damage(b []byte) []byte {
	b = slices.Clone(b)
	if len(b) == 0 {
		return append(b, "garbage"...)
	}
	at := c.rand.Intn(len(b))
	switch c.rand.Intn(6) {
	case 0:
		return b[:at]
	case 1:
		return slices.Delete(b, at, min(len(b), at+1+c.rand.Intn(30)))
	case 2:
		return append(b, make([]byte, c.rand.Intn(40))...)
	case 3:
		return append(b, b[:at]...)
	case 4:
		b[at] ^= 1 << c.rand.Intn(8)
	default:
		for range 1 + c.rand.Intn(4) {
			b[c.rand.Intn(len(b))] = byte(c.rand.Intn(256))
		}
	}
	return b
}

// names are files that are not what they are called, and runs over several files.
func (c *corpus) names() error {
	for name, b := range map[string]string{
		"names/abc.log": "", "names/+7.log": "", "names/-7.log": "", "names/7.8.log": "", "names/.log": "", "names/7": "", "names/7.txt": "", "names/7.": "",
		"names/7.log.deleted": "", "names/7.log.swap": "", "names/abc.index": "", "names/abc.timeindex": "", "names/abc.txnindex": "",
		"names/abc.snapshot": "", "names/8.index": "12345678", "names/8.timeindex": "123456789012", "names/9.timeindex": "", "names/9.index": "", "names/9.log": "",
	} {
		if err := c.write(name, []byte(b)); err != nil {
			return err
		}
	}
	for _, name := range []string{"names/abc.log", "names/+7.log", "names/-7.log", "names/7.8.log", "names/.log", "names/7", "names/7.txt", "names/7.", "names/7.log.deleted",
		"names/7.log.swap", "names/abc.index", "names/abc.timeindex", "names/abc.txnindex", "names/abc.snapshot", "names/8.index", "names/9.timeindex",
		"names/9.index", "names/9.log", "names/no.log", "names/5.log", "names/5.index", "names/5.txnindex", "names/5.snapshot", "names", "", "names//9.log", "./names/9.log",
		"names/9.log/", "names/9.log,", "names/9.log,,names/-7.log", "names/9.log, names/9.log", "names/7.txt,names/9.log,names/9.index,names/7.txt"} {
		c.run("--files", name)
	}
	c.run("--files", "names/9.timeindex", "--index-sanity-check")
	// Reports on several files come in the order of a hash of their paths.
	var broken []string
	for i := range 30 {
		dir := fmt.Sprintf("reports/topic-%d", i)
		for _, ext := range []string{"log", "index"} {
			b, err := c.read("made/three-wrong/10." + ext)
			if err != nil {
				return err
			}
			if err := c.write(dir+"/10."+ext, b); err != nil {
				return err
			}
		}
		broken = append(broken, dir+"/10.index")
		if n := len(broken); n == 5 || n == 12 || n == 24 || n == 30 {
			c.runs = append(c.runs, Run{Args: []string{"--files", strings.Join(broken, ",")}, Paths: true})
		}
	}
	return nil
}
