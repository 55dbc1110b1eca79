package logdir

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gokafka/internal/vfs"
	"gokafka/logstore"
)

// recordLibs is where Kafka 3.9.1's jars are: with it the states are loaded by Kafka's own classes and what they find is written down.
var recordLibs = flag.String("record", "", "directory of Kafka's jars: write testdata/states-apache.txt.gz anew, by testdata/java/OpenDirs.java")

const statesFile = "testdata/states-apache.txt.gz"

// state is the content of one or more log directories, by path below their common parent.
type state map[string]string

// only keeps the files of the broker, and those of the partitions that are named.
func (s state) only(partitions ...string) state {
	out := maps.Clone(s)
	maps.DeleteFunc(out, func(path, _ string) bool {
		dir, _, in := strings.Cut(strings.TrimPrefix(path, "d0/"), "/")
		return in && !slices.Contains(partitions, dir)
	})
	return out
}

// golden reads a directory that Apache wrote, as d0.
func golden(t *testing.T, name string) state {
	t.Helper()
	f, err := os.Open(goldenDir + name + ".tar.gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	s := state{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return s
		}
		must(t, err)
		path := strings.TrimPrefix(h.Name, name+"/")
		if h.Typeflag == tar.TypeDir {
			continue
		}
		b, err := io.ReadAll(r)
		must(t, err)
		s["d0/"+path] = string(b)
	}
}

func (s state) move(from, to string) {
	for path, content := range maps.Clone(s) {
		if rest, ok := strings.CutPrefix(path, from); ok {
			delete(s, path)
			s[to+rest] = content
		}
	}
}

func (s state) copy(from, to string) {
	for path, content := range maps.Clone(s) {
		if rest, ok := strings.CutPrefix(path, from); ok {
			s[to+rest] = content
		}
	}
}

func (s state) remove(prefix string) {
	maps.DeleteFunc(s, func(path, _ string) bool { return strings.HasPrefix(path, prefix) })
}

func (s state) must(t *testing.T, path string) string {
	t.Helper()
	content, ok := s[path]
	if !ok {
		t.Fatalf("the golden directory has no %s", path)
	}
	return content
}

// write puts the state below root. A path that ends in "/" is a directory.
func (s state) write(t *testing.T, fsys vfs.FS, root string) {
	t.Helper()
	for path, content := range s {
		path = filepath.Join(root, filepath.FromSlash(path)) + strings.Repeat("/", strings.Count(path[len(path)-1:], "/"))
		if strings.HasSuffix(path, "/") {
			must(t, fsys.MkdirAll(strings.TrimSuffix(path, "/"), 0o755))
			continue
		}
		must(t, fsys.MkdirAll(filepath.Dir(path), 0o755))
		must(t, vfs.WriteFile(fsys, path, []byte(content), false))
	}
}

func (s state) dirs() (out []string) {
	for i := 0; ; i++ {
		prefix := fmt.Sprintf("d%d", i)
		n := len(out)
		for path := range s {
			if path == prefix || strings.HasPrefix(path, prefix+"/") {
				out = append(out, prefix)
				break
			}
		}
		if len(out) == n {
			return out
		}
	}
}

// loadState loads a state as a broker does, shuts it down, and describes both in the words of OpenDirs.java.
func loadState(t *testing.T, s state) string {
	t.Helper()
	mem := vfs.NewMem()
	s.write(t, mem, "/")
	o := goldenOptions("")
	o.FS, o.Dirs = mem, nil
	for _, d := range s.dirs() {
		o.Dirs = append(o.Dirs, "/"+d)
	}
	m, err := Open(o, 0, goldenCluster)
	if err != nil {
		t.Log(err)
		return "fatal\n"
	}
	var lines []string
	for _, d := range m.Dirs() {
		if d.Err != nil {
			t.Log(d.Err)
			lines = append(lines, "offline "+strings.TrimPrefix(d.Path, "/"))
		}
	}
	lost := len(lines)
	for _, l := range m.All() {
		lines = append(lines, describe(t, mem, l))
	}
	slices.Sort(lines[lost:])
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if lost == 0 {
		lines = append(lines, filesOf(t, mem, o.Dirs)...)
	}
	return strings.Join(lines, "\n") + "\n"
}

func describe(t *testing.T, fsys vfs.FS, l *logstore.Log) string {
	t.Helper()
	var epochs, segments, producers []string
	for _, e := range l.EpochStarts() {
		epochs = append(epochs, fmt.Sprintf("%d@%d", e.Epoch, e.StartOffset))
	}
	entries, err := fsys.ReadDir(l.Dir())
	must(t, err)
	for _, e := range entries {
		if base, ok := strings.CutSuffix(e.Name(), ".log"); ok && len(base) == 20 {
			info, err := e.Info()
			must(t, err)
			segments = append(segments, fmt.Sprintf("%s:%d", strings.TrimLeft(base[:19], "0")+base[19:], info.Size()))
		}
	}
	if len(segments) != l.SegmentCount() {
		t.Errorf("%s: %d segments, files %v", l.TopicPartition(), l.SegmentCount(), segments)
	}
	for _, p := range l.ActiveProducers() {
		producers = append(producers, fmt.Sprintf("%d/%d/%d/%d/%d/%d", p.ProducerID, p.ProducerEpoch, p.LastSequence, p.LastOffset, p.CoordinatorEpoch, p.CurrentTxnFirstOffset))
	}
	slices.Sort(producers)
	id := ""
	if !l.TopicID().IsZero() {
		id = l.TopicID().String()
	}
	return fmt.Sprintf("log %s start=%d end=%d recovery=%d id=%s epochs=%s segments=%s producers=%s", strings.TrimPrefix(l.Dir(), "/"), l.LogStartOffset(),
		l.LogEndOffset(), l.RecoveryPoint(), id, strings.Join(epochs, ","), strings.Join(segments, ","), strings.Join(producers, ","))
}

func filesOf(t *testing.T, fsys vfs.FS, dirs []string) []string {
	t.Helper()
	var lines []string
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := fsys.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			path := dir + "/" + e.Name()
			if e.IsDir() {
				walk(path)
				continue
			}
			b, err := vfs.ReadFile(fsys, path, 1<<24)
			must(t, err)
			name := strings.TrimPrefix(path, "/")
			if strings.HasSuffix(name, "-checkpoint") || strings.HasSuffix(name, "/meta.properties") {
				l := slices.DeleteFunc(strings.Split(string(b), "\n"), func(s string) bool { return s == "" || s[0] == '#' })
				slices.Sort(l)
				lines = append(lines, "file "+name+" "+strings.Join(l, "|"))
				continue
			}
			if strings.HasSuffix(name, ".snapshot") {
				sortEntries(b)
			}
			lines = append(lines, fmt.Sprintf("file %s %d %x", name, len(b), crc32.ChecksumIEEE(b)))
		}
	}
	for _, d := range dirs {
		walk(d)
	}
	slices.Sort(lines)
	return lines
}

// sortEntries brings the producers of a snapshot into one order; Kafka writes that of a hash map.
func sortEntries(b []byte) {
	const head, entry = 10, 46
	if len(b) < head || (len(b)-head)%entry != 0 {
		return
	}
	sorted := slices.Clone(b[:head])
	clear(sorted[2:6]) // the checksum
	for _, e := range slices.SortedFunc(slices.Chunk(b[head:], entry), bytes.Compare) {
		sorted = append(sorted, e...)
	}
	copy(b, sorted)
}

// comparable drops what is not the loader's: the high watermarks, which Kafka's replica manager writes, the cleaner's empty file, and the content of directories that are not a
// partition's. Kafka loads those of deletions and of strays; here they wait for who needs them.
func comparable(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool {
		fields := strings.Fields(l)
		if len(fields) < 2 {
			return false
		}
		dir := strings.Split(fields[1], "/")
		if len(dir) > 1 && (dir[1] == highWatermarkFile || dir[1] == cleanerFile && len(fields) == 2) {
			return true
		}
		for _, suffix := range []string{logstore.DeleteDirSuffix, logstore.StrayDirSuffix} {
			if len(dir) > 1 && strings.HasSuffix(dir[1], suffix) {
				return true
			}
		}
		return false
	})
	return strings.Join(lines, "\n")
}

// TestStatesAsApache loads directories in every state that a crash, a clumsy hand or a bad disk may leave, and finds in them what Kafka 3.9.1's own
// LogManager finds; and after a clean shutdown the same files are there, byte for byte.
func TestStatesAsApache(t *testing.T) {
	cases := stateCases(t)
	if *recordLibs != "" {
		recordStates(t, cases)
	}
	f, err := os.Open(statesFile)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	want := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(string(b), "case "), "\ncase ") {
		name, text, _ := strings.Cut(part, "\n")
		want[name] = strings.TrimSuffix(text, "\n") + "\n"
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			apache, ok := want[c.name]
			if !ok {
				t.Fatal("Kafka was not asked: record the goldens anew")
			}
			got := comparable(loadState(t, c.state))
			apache = comparable(apache)
			switch {
			case c.differs == "" && got != apache:
				t.Errorf("%s", diff(got, apache))
			case c.differs != "" && got == apache:
				t.Errorf("as Kafka, although %q", c.differs)
			}
			for _, part := range c.has {
				if !strings.Contains(got, part) {
					t.Errorf("no %q in\n%s", part, got)
				}
			}
			if (c.differs != "") != (len(c.has) > 0) {
				t.Error("what is found here instead of what Kafka finds is to be told")
			}
		})
	}
	if len(want) != len(cases) {
		t.Errorf("%d goldens, %d cases", len(want), len(cases))
	}
}

// diff shows the lines that are only in one of two texts.
func diff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	var b strings.Builder
	for _, l := range g {
		if !slices.Contains(w, l) {
			fmt.Fprintf(&b, "\n got  %s", l)
		}
	}
	for _, l := range w {
		if !slices.Contains(g, l) {
			fmt.Fprintf(&b, "\n want %s", l)
		}
	}
	return b.String()
}

func recordStates(t *testing.T, cases []stateCase) {
	t.Helper()
	root := t.TempDir()
	for _, c := range cases {
		c.state.write(t, vfs.OS(), filepath.Join(root, c.name))
	}
	cmd := exec.Command("java", "-Xmx512m", "-cp", filepath.Join(*recordLibs, "*"), "testdata/java/OpenDirs.java", root)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	must(t, os.WriteFile(filepath.Join(os.TempDir(), "states-apache.log"), log.Bytes(), 0o644))
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(out.Bytes())
	must(t, err)
	must(t, z.Close())
	must(t, os.WriteFile(statesFile, packed.Bytes(), 0o644))
}
