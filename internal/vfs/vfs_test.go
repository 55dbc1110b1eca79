package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// systems are the implementations that must behave alike, each with an existing directory.
func systems(t *testing.T) map[string]func(*testing.T) (FS, string) {
	return map[string]func(*testing.T) (FS, string){
		"os": func(t *testing.T) (FS, string) { return OS(), t.TempDir() },
		"mem": func(t *testing.T) (FS, string) {
			m := NewMem()
			must(t, m.MkdirAll("/a/b", 0o755))
			return m, "/a/b"
		},
		"faulty": func(t *testing.T) (FS, string) { return NewFaulty(OS(), nil), t.TempDir() },
	}
}

func TestConformance(t *testing.T) {
	for name, make := range systems(t) {
		t.Run(name, func(t *testing.T) {
			fsys, dir := make(t)
			conform(t, fsys, dir)
		})
	}
}

func conform(t *testing.T, fsys FS, dir string) {
	path := filepath.Join(dir, "f")
	if _, err := fsys.OpenFile(path, os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of a missing file: %v", err)
	}
	f, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	must(t, err)
	if _, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); !errors.Is(err, fs.ErrExist) {
		t.Errorf("exclusive create of an existing file: %v", err)
	}
	if n, err := f.WriteAt([]byte("hello"), 3); n != 5 || err != nil {
		t.Errorf("write: %d %v", n, err)
	}
	must(t, f.Reserve(8, 1<<16))
	if size, err := f.Size(); size != 8 || err != nil {
		t.Errorf("size after write and reserve: %d %v", size, err)
	}
	buf := make([]byte, 10)
	if n, err := f.ReadAt(buf, 0); n != 8 || err != io.EOF || string(buf[:8]) != "\x00\x00\x00hello" {
		t.Errorf("read beyond the end: %d %v %q", n, err, buf)
	}
	if n, err := f.ReadAt(buf[:2], 6); n != 2 || err != nil {
		t.Errorf("read to the end: %d %v", n, err)
	}
	if n, err := f.ReadAt(buf, 100); n != 0 || err != io.EOF {
		t.Errorf("read behind the end: %d %v", n, err)
	}
	must(t, f.Truncate(4))
	must(t, f.Truncate(6))
	if n, _ := f.ReadAt(buf, 0); string(buf[:n]) != "\x00\x00\x00h\x00\x00" {
		t.Errorf("after truncations: %q", buf[:n])
	}
	must(t, f.Sync())
	must(t, fsys.SyncDir(dir))
	must(t, WriteFile(fsys, path+"2", []byte("two"), true))
	must(t, fsys.Rename(path, path+"2"))
	if _, err := fsys.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of a renamed file: %v", err)
	}
	if b, err := ReadFile(fsys, path+"2", 100); err != nil || len(b) != 6 {
		t.Errorf("read of the replaced file: %q %v", b, err)
	}
	if _, err := ReadFile(fsys, path+"2", 5); err == nil {
		t.Error("a file longer than the bound was read")
	}
	must(t, fsys.MkdirAll(filepath.Join(dir, "d", "e"), 0o755))
	must(t, fsys.MkdirAll(filepath.Join(dir, "d", "e"), 0o755))
	entries, err := fsys.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, fmt.Sprint(e.Name(), e.IsDir()))
	}
	if want := []string{"dtrue", "f2false"}; !slices.Equal(names, want) {
		t.Errorf("entries %v, want %v", names, want)
	}
	if err := fsys.Remove(filepath.Join(dir, "d")); err == nil {
		t.Error("a directory that is not empty was removed")
	}
	must(t, fsys.RemoveAll(filepath.Join(dir, "d")))
	must(t, fsys.RemoveAll(filepath.Join(dir, "d")))
	must(t, fsys.Remove(path+"2"))
	if err := fsys.Remove(path + "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove of a missing file: %v", err)
	}
	if runtime.GOOS != "windows" {
		if n, err := f.ReadAt(buf[:4], 0); n != 4 || err != nil {
			t.Errorf("an open file was not readable after its removal: %d %v", n, err)
		}
	}
	must(t, f.Close())
	if _, err := f.ReadAt(buf, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read of a closed file: %v", err)
	}
	l, err := fsys.Lock(filepath.Join(dir, ".lock"))
	must(t, err)
	if _, err := fsys.Lock(filepath.Join(dir, ".lock")); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	must(t, l.Close())
	if l, err = fsys.Lock(filepath.Join(dir, ".lock")); err != nil {
		t.Errorf("lock after release: %v", err)
	} else {
		l.Close()
	}
	if total, usable, err := fsys.Space(dir); err != nil || total == 0 || usable > total {
		t.Errorf("space: %d %d %v", total, usable, err)
	}
	if err := SyncVolume(fsys, dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("sync of the volume: %v", err)
	}
}

func TestFaulty(t *testing.T) {
	var fail error
	f := NewFaulty(NewMem(), func(op Op) error {
		if op.Kind == OpWrite || op.Kind == OpSync {
			return fail
		}
		return nil
	})
	file, err := f.OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	if _, err := file.WriteAt([]byte("one"), 0); err != nil {
		t.Fatal(err)
	}
	fail = &ShortWrite{N: 2, Err: syscall.ENOSPC}
	if n, err := file.WriteAt([]byte("two"), 3); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("short write: %d %v", n, err)
	}
	fail = syscall.EIO
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	if b, err := ReadFile(f, "/f", 10); string(b) != "onetw" {
		t.Errorf("%q %v", b, err)
	}
	if f.Count(OpWrite) != 2 || f.Count(OpSync) != 1 {
		t.Errorf("%d writes, %d syncs", f.Count(OpWrite), f.Count(OpSync))
	}
}

func TestMemCapacity(t *testing.T) {
	m := NewMem()
	m.SetCapacity(10)
	must(t, WriteFile(m, "/a", []byte("12345678"), false))
	f, err := m.OpenFile("/b", os.O_RDWR|os.O_CREATE, 0o644)
	must(t, err)
	if n, err := f.WriteAt([]byte("123"), 0); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write to a full disk: %d %v", n, err)
	}
	if size, _ := f.Size(); size != 2 {
		t.Errorf("size %d", size)
	}
	must(t, m.Remove("/a"))
	if n, err := f.WriteAt([]byte("12345678"), 2); n != 8 || err != nil {
		t.Errorf("write after a removal: %d %v", n, err)
	}
}

// TestCrashKeepsSynced: whatever is lost, what was synced is there, and a file never has bytes that were not written there.
func TestCrashKeepsSynced(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := NewMem()
		must(t, m.MkdirAll("/d", 0o755))
		must(t, m.SyncDir("/"))
		f, err := m.OpenFile("/d/f", os.O_RDWR|os.O_CREATE, 0o644)
		must(t, err)
		must(t, m.SyncDir("/d"))
		var synced, now []byte
		for i := range 30 {
			switch rng.IntN(6) {
			case 0:
				must(t, f.Sync())
				synced = slices.Clone(now)
			default:
				b := bytes.Repeat([]byte{byte(i + 1)}, 1+rng.IntN(6000))
				_, err := f.WriteAt(b, int64(len(now)))
				must(t, err)
				now = append(now, b...)
			}
		}
		for _, o := range []CrashOptions{{Seed: seed}, {Seed: seed, LoseUnsynced: true}, {Seed: seed, KeepUnsynced: true}, {Seed: seed, UnorderedMetadata: true}} {
			got, err := ReadFile(m.CrashClone(o), "/d/f", 1<<20)
			must(t, err)
			again, err := ReadFile(m.CrashClone(o), "/d/f", 1<<20)
			must(t, err)
			switch {
			case !bytes.Equal(got, again):
				t.Fatalf("seed %d %+v: two clones differ", seed, o)
			case !bytes.HasPrefix(got, synced):
				t.Fatalf("seed %d %+v: synced bytes were lost", seed, o)
			case o.LoseUnsynced && len(got) != len(synced), o.KeepUnsynced && len(got) != len(now), len(got) > len(now):
				t.Fatalf("seed %d %+v: %d bytes, synced %d of %d", seed, o, len(got), len(synced), len(now))
			}
			for i, c := range got {
				if c != now[i] && c != 0 {
					t.Fatalf("seed %d %+v: byte %d is %d, was written as %d", seed, o, i, c, now[i])
				}
			}
		}
		if got, _ := ReadFile(m, "/d/f", 1<<20); !bytes.Equal(got, now) {
			t.Fatal("the original was harmed")
		}
	}
}

// TestCrashDirectories: entries of a synced directory are there; others survive in order; an unsynced rename is there or not, never half.
func TestCrashDirectories(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(200) {
		m := NewMem()
		must(t, WriteFile(m, "/kept", []byte("k"), true))
		must(t, WriteFile(m, "/old", []byte("o"), true))
		must(t, m.SyncDir("/"))
		must(t, WriteFile(m, "/first", []byte("1"), true))
		must(t, m.Rename("/old", "/new"))
		must(t, WriteFile(m, "/last", []byte("2"), true))
		entries, err := m.CrashClone(CrashOptions{Seed: seed}).ReadDir("/")
		must(t, err)
		s := ""
		for _, e := range entries {
			s += e.Name() + " "
		}
		outcomes[s]++
	}
	want := []string{"kept old ", "first kept old ", "first kept new ", "first kept last new "}
	if len(outcomes) != len(want) {
		t.Errorf("outcomes %v", outcomes)
	}
	for _, w := range want {
		if outcomes[w] == 0 {
			t.Errorf("never: %q in %v", w, outcomes)
		}
	}
}
