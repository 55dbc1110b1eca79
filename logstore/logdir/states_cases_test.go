package logdir

import (
	"fmt"
	"strings"
	"testing"

	"gokafka/record"
)

// stateCase is a state to load. differs says why what is found is not what Kafka finds; it has these then.
type stateCase struct {
	name    string
	state   state
	differs string
	has     []string
}

func (c *stateCase) butHere(differs string, has ...string) { c.differs, c.has = differs, has }

const (
	clean   = "apache-3.9-data-dir"
	unclean = "apache-3.9-data-dir-unclean"
)

func segFile(dir string, base int, suffix string) string {
	return fmt.Sprintf("d0/%s/%020d%s", dir, base, suffix)
}

// stateCases builds all states. Each begins with a directory that Apache wrote.
func stateCases(t *testing.T) []stateCase {
	var list []stateCase
	bases := map[string]state{clean: golden(t, clean), unclean: golden(t, unclean)}
	add := func(name, base string, partitions []string, change func(s state)) *stateCase {
		s := bases[base].only(partitions...)
		if change != nil {
			change(s)
		}
		list = append(list, stateCase{name: name, state: s})
		return &list[len(list)-1]
	}
	metaCases(t, add)
	nameCases(t, add)
	checkpointCases(t, add)
	indexCases(t, add)
	segmentCases(t, add)
	swapCases(t, add)
	snapshotCases(t, add)
	smallFileCases(t, add)
	return list
}

type adder func(name, base string, partitions []string, change func(s state)) *stateCase

func one(names ...string) []string { return names }

func metaCases(t *testing.T, add adder) {
	meta := "d0/meta.properties"
	for name, text := range map[string]string{
		"meta-without-version":      "broker.id=0\ncluster.id=" + goldenCluster + "\n",
		"meta-version-2":            "version=2\nbroker.id=0\n",
		"meta-bad-broker-id":        "version=0\nbroker.id=x\n",
		"meta-empty":                "",
		"meta-without-cluster":      "version=0\nbroker.id=0\n",
		"meta-without-broker":       "version=0\ncluster.id=" + goldenCluster + "\n",
		"meta-other-broker":         "version=0\nbroker.id=1\n",
		"meta-other-cluster":        "version=0\nbroker.id=0\ncluster.id=aaaaaaaaaaaaaaaaaaaaaa\n",
		"meta-directory-id":         "version=0\nbroker.id=0\ndirectory.id=sISKvzxTq7SXvhLMDjBzfw\ncluster.id=" + goldenCluster + "\n",
		"meta-directory-id-bad":     "version=0\nbroker.id=0\ndirectory.id=xyz\ncluster.id=" + goldenCluster + "\n",
		"meta-directory-id-lost":    "version=0\nbroker.id=0\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\ncluster.id=" + goldenCluster + "\n",
		"meta-other-order-and-form": "! a comment\n  cluster.id : 9thMlP4YQlmM\\\n   QOt2wz3mOA\nbroker.id 0\nunknown=1\r\nversion = 0\n",
		"meta-broker-id-signed":     "version=0\nbroker.id=+0\n",
		"meta-broker-id-negative":   "version=0\nbroker.id=-5\n",
		"meta-bad-escape":           "version=0\nbroker.id=0\nx=\\uZZZZ\ncluster.id=" + goldenCluster + "\n",
	} {
		add(name, clean, one("plain-0"), func(s state) { s[meta] = text })
	}
	add("meta-missing", clean, one("plain-0"), func(s state) { s.remove(meta) })
	add("meta-is-a-directory", clean, one("plain-0"), func(s state) { s.remove(meta); s["d0/meta.properties/"] = "" })
	add("meta-version-1", clean, one("plain-0"), func(s state) {
		s[meta] = "version=1\nnode.id=0\ndirectory.id=sISKvzxTq7SXvhLMDjBzfw\ncluster.id=" + goldenCluster + "\n"
	}).butHere("Kafka takes version 1 only while it migrates to KRaft; here a directory that a KRaft compose file made is opened", "log d0/plain-0 start=0 end=28 ")
	two := func(s state) { s.move("d0/txn-0/", "d1/txn-0/"); s.copy("d0/", "d1/"); s.remove("d1/plain-0/") }
	both := one("plain-0", "txn-0")
	add("two-dirs", clean, both, two)
	add("two-dirs-meta-missing-in-one", clean, both, func(s state) { two(s); s.remove("d1/meta.properties") })
	add("two-dirs-bad-meta-in-one", clean, both, func(s state) { two(s); s["d1/meta.properties"] = "version=7\n" })
	add("two-dirs-other-broker-in-one", clean, both, func(s state) { two(s); s["d1/meta.properties"] = "version=0\nbroker.id=3\n" })
	add("two-dirs-other-cluster-in-one", clean, both, func(s state) { two(s); s["d1/meta.properties"] = "version=0\ncluster.id=x\n" })
	add("two-dirs-same-directory-id", clean, both, func(s state) {
		two(s)
		s["d0/meta.properties"] += "directory.id=sISKvzxTq7SXvhLMDjBzfw\n"
		s["d1/meta.properties"] = s["d0/meta.properties"]
	})
	add("two-dirs-one-unclean", clean, both, func(s state) { two(s); s.remove("d1/.kafka_cleanshutdown") })
	add("two-dirs-one-empty", clean, one("plain-0"), func(s state) { s["d1/"] = "" })
	add("two-dirs-one-is-a-file", clean, one("plain-0"), func(s state) { s["d1"] = "x" })
	add("two-dirs-same-partition", clean, both, func(s state) { two(s); s.copy("d0/plain-0/", "d1/plain-0/") })
	add("two-dirs-damage-in-one", clean, both, func(s state) { two(s); s["d1/txn-0/leader-epoch-checkpoint"] = "0\n1\n" })
	add("two-dirs-checkpoint-damaged-in-one", clean, both, func(s state) { two(s); s["d1/recovery-point-offset-checkpoint"] = "?\n" })
	add("all-dirs-damaged", clean, both, func(s state) {
		two(s)
		s["d0/plain-0/leader-epoch-checkpoint"] = "0\n1\n"
		s["d1/txn-0/leader-epoch-checkpoint"] = "0\n1\n"
	})
	marker := "d0/.kafka_cleanshutdown"
	add("marker-garbage", clean, one("txn-0"), func(s state) { s[marker] = "\x00garbage{" })
	add("marker-empty", clean, one("txn-0"), func(s state) { s[marker] = "" })
	add("marker-missing", clean, one("txn-0", "idem-0", "compacted-0", "compact-txn-0", "txn-1", "plain-0", "trimmed-0"), func(s state) { s.remove(marker) })
	add("marker-missing-and-checkpoint", clean, one("txn-0", "idem-0", "compacted-0", "compact-txn-0", "txn-1", "plain-0", "trimmed-0"), func(s state) {
		s.remove(marker)
		s.remove("d0/recovery-point")
	})
	add("lock-left", clean, one("plain-0"), func(s state) { s["d0/.lock"] = "" })
	add("unclean-all", unclean, one("plain-0", "idem-0", "txn-0", "txn-1", "txn-open-0", "compacted-0", "compact-txn-0", "trimmed-0", "logappend-0", "empty-0"), nil)
}

func nameCases(t *testing.T, add adder) {
	id := ".0123456789abcdef0123456789abcdef"
	for name, dir := range map[string]string{
		"dir-without-dash": "foo", "dir-lost+found": "lost+found", "dir-hidden": ".x", "dir-dash-at-the-end": "foo-", "dir-dash-at-the-start": "-0",
		"dir-not-a-number": "foo-bar", "dir-number-too-large": "foo-2147483648", "dir-two-dashes": "foo--1", "dir-leading-zero": "foo-00", "dir-signed": "foo-+1",
		"dir-delete": "plain-0" + id + "-delete", "dir-delete-short-id": "plain-0.a-delete", "dir-delete-without-id": "plain-0-delete", "dir-delete-dot-only": "plain-0.-delete",
		"dir-delete-no-partition": "plain" + id + "-delete", "dir-delete-dotted-topic": "a.b-0" + id + "-delete",
		"dir-stray": "plain-0" + id + "-stray", "dir-stray-without-id": "plain-0-stray", "dir-remote-log-index-cache": "remote-log-index-cache", "dir-cluster-metadata": "__cluster_metadata-0", "dir-space": "a b-0", "dir-dots": "..a-0", "dir-plain-dot": "a.b-3",
		"dir-unicode": "é-0",
	} {
		add(name, clean, one("plain-0"), func(s state) { s["d0/"+dir+"/"] = "" })
	}
	for name, dir := range map[string]string{"dir-future": "txn-0", "dir-future-of-one-that-is-here": "plain-0"} {
		c := add(name, clean, one("plain-0"), func(s state) { s["d0/"+dir+id+"-future/"] = "" })
		if dir == "plain-0" {
			c.butHere("of two logs of a partition in one directory, which nobody makes, Kafka closes one", "log d0/plain-0 start=0 end=28 ", "file d0/plain-0/00000000000000000000.timeindex 24 e6d15266")
		}
	}
	add("dir-stray-and-deleted-damaged", clean, one("plain-0", "txn-0"), func(s state) {
		s.move("d0/txn-0/", "d0/txn-0"+id+"-delete/")
		for path := range s {
			if strings.Contains(path, "-delete/") && strings.HasSuffix(path, ".log") {
				s[path] = s[path][:100]
			}
		}
	})
	for name, file := range map[string]string{"log": "x.log", "number-log": "36.log", "index": "x.index", "snapshot": "x.snapshot", "swap": "x.swap", "cleaned": "x.cleaned", "snapshot-short": "5.snapshot",
		"index-short": "36.index", "negative-log": "-0000000000000000001.log"} {
		c := add("file-"+name, clean, one("plain-0"), func(s state) { s["d0/plain-0/"+file] = "" })
		switch name {
		case "number-log", "negative-log":
			c.butHere("Kafka makes another, empty segment of the number; here a segment under a wrong name takes the directory offline", "fatal")
		case "index", "snapshot", "swap", "cleaned":
			c.butHere("Kafka does not start with a file that has this ending and no number; here it is left alone", "end=28 ", "file d0/plain-0/"+file+" 0 0")
		case "snapshot-short":
			c.butHere("Kafka takes it for a stray snapshot and removes it; here it is left alone", "end=28 ", "file d0/plain-0/"+file+" 0 0")
		}
	}
	add("file-beside", clean, one("plain-0"), func(s state) {
		s["d0/notes.txt"], s["d0/plain-0/notes.txt"], s["d0/plain-0/sub/x"] = "x", "y", "z"
		s["d0/plain-0/.nfs0001"], s["d0/foo-1"] = "", ""
	})
	add("no-partitions", clean, nil, nil)
}

func checkpointCases(t *testing.T, add adder) {
	for _, file := range []string{"recovery-point-offset-checkpoint", "log-start-offset-checkpoint"} {
		short := strings.TrimSuffix(file, "-offset-checkpoint")
		for name, text := range map[string]string{
			"garbage": "garbage\n", "nul": strings.Repeat("\x00", 40), "version-only": "0\n", "other-version": "1\n1\nidem 0 100\n", "count-too-large": "0\n2\nidem 0 100\n",
			"count-too-small": "0\n1\nidem 0 100\ntxn 0 3\n", "count-negative": "0\n-1\n", "count-huge": "0\n10000000000\n", "twice": "0\n2\nidem 0 100\nidem 0 120\n", "negative": "0\n1\nidem 0 -5\n",
			"crlf": "0\r\n1\r\nidem 0 100\r\n", "cr": "0\r1\ridem 0 100\r", "spaces": "0\n1\nidem \t 0   100  \n", "leading-space": "0\n1\n idem 0 100\n", "empty-line": "0\n1\nidem 0 100\n\n",
			"no-newline": "0\n1\nidem 0 100", "not-a-number": "0\n1\nidem 0 1x\n", "signed": "+0\n+1\nidem +0 +100\n", "four-fields": "0\n1\nidem 0 100 1\n", "empty": "",
			"unknown-partitions": "0\n2\nidem 0 100\nnobody 3 5\n", "not-utf8": "0\n1\n\xff\xfe 0 100\n",
		} {
			add(short+"-"+name, clean, one("idem-0"), func(s state) { s["d0/"+file] = text; s.remove("d0/.kafka_cleanshutdown") })
		}
		add(short+"-missing", clean, one("idem-0"), func(s state) { s.remove("d0/" + file); s.remove("d0/.kafka_cleanshutdown") })
		add(short+"-temporary-left", clean, one("idem-0"), func(s state) { s["d0/"+file+".tmp"] = "0\n1\nide" })
		for _, at := range []int{1, 36, 100, 109, 149, 208, 209, 210, 5000} {
			for _, base := range []string{clean, unclean} {
				add(fmt.Sprintf("%s-at-%d-%s", short, at, map[string]string{clean: "clean", unclean: "unclean"}[base]), base, one("idem-0", "plain-0"), func(s state) {
					s["d0/"+file] = fmt.Sprintf("0\n1\nidem 0 %d\n", at)
				})
			}
		}
	}
}

func indexCases(t *testing.T, add adder) {
	zeros := strings.Repeat("\x00", 65536)
	for _, base := range []string{clean, unclean} {
		suffix := map[string]string{clean: "-clean", unclean: "-unclean"}[base]
		for _, seg := range []int{0, 36, 149, 189} {
			at := fmt.Sprintf("-%d%s", seg, suffix)
			for _, kind := range []string{".index", ".timeindex"} {
				path := segFile("idem-0", seg, kind)
				repaired := func(c *stateCase, want string) {
					if kind == ".timeindex" && at == "-189-clean" {
						c.butHere("Kafka's active segment goes on without its largest timestamp; here it is looked for", "file "+path+" "+want)
					}
				}
				repaired(add("no"+kind+at, base, one("idem-0"), func(s state) { s.remove(path) }), "12 e821cf8f")
				repaired(add("empty"+kind+at, base, one("idem-0"), func(s state) { s[path] = "" }), "12 e821cf8f")
				repaired(add("odd"+kind+at, base, one("idem-0"), func(s state) { s[path] = s.must(t, path)[:min(21, len(s[path]))] }), "24 d76f423c")
			}
			add("no-indexes"+at, base, one("idem-0"), func(s state) {
				s.remove(segFile("idem-0", seg, ".index"))
				s.remove(segFile("idem-0", seg, ".timeindex"))
			})
			c := add("zeros-index"+at, base, one("idem-0"), func(s state) {
				s[segFile("idem-0", seg, ".index")] += zeros[:65536-len(s[segFile("idem-0", seg, ".index")])]
			})
			if at == "-189-clean" {
				c.butHere("Kafka takes zeros for entries", "file d0/idem-0/00000000000000000189.index 24 49c7f4f5")
			}
		}
		add("no-index-of-transactions"+suffix, base, one("txn-0"), func(s state) { s.remove(segFile("txn-0", 20, ".index")) })
		add("no-txnindex"+suffix, base, one("txn-0", "txn-1"), func(s state) { s.remove(segFile("txn-0", 0, ".txnindex")); s.remove(segFile("txn-1", 0, ".txnindex")) })
		add("txnindex-before-base"+suffix, base, one("txn-0"), func(s state) { s[segFile("txn-0", 20, ".txnindex")] = s.must(t, segFile("txn-0", 0, ".txnindex")) })
		add("txnindex-other-version"+suffix, base, one("txn-0"), func(s state) {
			path := segFile("txn-0", 0, ".txnindex")
			s[path] = "\x00\x01" + s.must(t, path)[2:]
		}).butHere("Kafka looks at the first byte of the version only; here the segment is recovered", "file d0/txn-0/00000000000000000000.txnindex 68 5f69519d")
		add("txnindex-other-version-high"+suffix, base, one("txn-0"), func(s state) {
			path := segFile("txn-0", 0, ".txnindex")
			s[path] = "\x01\x00" + s.must(t, path)[2:]
		}).butHere("Kafka does not start; here the segment is recovered", "file d0/txn-0/00000000000000000000.txnindex 68 5f69519d")
		add("txnindex-torn"+suffix, base, one("txn-0"), func(s state) { s[segFile("txn-0", 0, ".txnindex")] += "\x00\x00torn" }).butHere(
			"Kafka leaves the torn entry", "file d0/txn-0/00000000000000000000.txnindex 68 5f69519d")
		add("txnindex-empty"+suffix, base, one("txn-0"), func(s state) { s[segFile("txn-0", 0, ".txnindex")] = "" })
		add("orphan-indexes"+suffix, base, one("idem-0"), func(s state) {
			for _, k := range []string{".index", ".timeindex", ".txnindex"} {
				s[segFile("idem-0", 77, k)] = "12345678"
			}
		})
	}
}

// batches are the batches of a segment as they are in the golden directory.
func batches(t *testing.T, s state, path string) []record.Batch {
	t.Helper()
	var out []record.Batch
	for rest := []byte(s.must(t, path)); len(rest) > 0; {
		b, more, err := record.Next(rest)
		must(t, err)
		out, rest = append(out, b), more
	}
	return out
}

func flip(s string, at int) string { return s[:at] + string([]byte{s[at] ^ 1}) + s[at+1:] }

func segmentCases(t *testing.T, add adder) {
	noPoint := func(s state) { s["d0/recovery-point-offset-checkpoint"] = "" }
	idem := func(base int, k string) string { return segFile("idem-0", base, k) }
	for _, base := range []string{clean, unclean} {
		suffix := map[string]string{clean: "-clean", unclean: "-unclean"}[base]
		add("first-segment-missing"+suffix, base, one("idem-0"), func(s state) { s.remove(idem(0, ".")) })
		add("last-segment-missing"+suffix, base, one("idem-0"), func(s state) { s.remove(idem(189, ".")) })
		add("all-segments-missing"+suffix, base, one("trimmed-0"), func(s state) {
			for path := range s {
				if strings.Contains(path, "trimmed-0/0") {
					delete(s, path)
				}
			}
		})
		add("empty-directory"+suffix, base, one("trimmed-0"), func(s state) { s.remove("d0/trimmed-0/"); s["d0/trimmed-0/"] = "" })
		c := add("last-segment-empty"+suffix, base, one("idem-0"), func(s state) { s[idem(189, ".log")] = "" })
		if base == clean {
			c.butHere("Kafka keeps an index that leads beyond the segment", "file d0/idem-0/00000000000000000189.index 0 0", "log d0/idem-0 start=0 end=189 ")
		}
		add("last-segment-empty-and-its-indexes"+suffix, base, one("idem-0"), func(s state) {
			s[idem(189, ".log")], s[idem(189, ".index")], s[idem(189, ".timeindex")] = "", "", ""
		})
		add("compacted"+suffix, base, one("compacted-0", "compact-txn-0"), nil)
		add("other-log-names"+suffix, base, one("plain-0"), func(s state) { s["d0/plain-0/snapshot.bak"], s["d0/plain-0/x.tmp"] = "", "" })
	}
	add("middle-segment-missing-clean", clean, one("idem-0"), func(s state) { s.remove(idem(109, ".")) })
	add("middle-segment-missing-below-the-recovery-point", unclean, one("idem-0"), func(s state) { s.remove(idem(72, ".")) })
	add("middle-segment-missing-no-recovery-point", clean, one("idem-0"), func(s state) {
		s.remove(idem(109, "."))
		s.remove("d0/.kafka_cleanshutdown")
		noPoint(s)
	}).butHere("Kafka leaves the hole; here what follows it goes, since no replica would ever fill it", "log d0/idem-0 start=0 end=109 ")
	add("middle-segment-empty-clean", clean, one("idem-0"), func(s state) { s[idem(109, ".log")], s[idem(109, ".index")], s[idem(109, ".timeindex")] = "", "", "" })
	for _, cut := range []int{1, 61, 433} {
		add(fmt.Sprintf("torn-tail-%d", cut), unclean, one("idem-0", "plain-0", "txn-0"), func(s state) {
			for _, path := range []string{idem(189, ".log"), segFile("plain-0", 0, ".log"), segFile("txn-0", 48, ".log")} {
				b := s.must(t, path)
				s[path] = b[:len(b)-min(cut, len(b))]
			}
		})
	}
	add("damage-in-the-last-segment", unclean, one("idem-0"), func(s state) { s[idem(189, ".log")] = flip(s[idem(189, ".log")], 1500) })
	add("damage-in-the-middle-no-recovery-point", unclean, one("idem-0"), func(s state) {
		noPoint(s)
		s[idem(109, ".log")] = flip(s[idem(109, ".log")], 1500)
	})
	add("damage-in-the-first-segment-no-recovery-point", unclean, one("txn-0"), func(s state) {
		noPoint(s)
		s[segFile("txn-0", 0, ".log")] = flip(s[segFile("txn-0", 0, ".log")], 300)
	})
	add("damage-below-the-recovery-point", unclean, one("idem-0"), func(s state) { s[idem(36, ".log")] = flip(s[idem(36, ".log")], 1500) })
	add("damage-clean", clean, one("idem-0"), func(s state) { s[idem(189, ".log")] = flip(s[idem(189, ".log")], 1500) })
	add("damage-in-a-segment-without-index", clean, one("idem-0"), func(s state) {
		s[idem(109, ".log")] = flip(s[idem(109, ".log")], 1500)
		s.remove(idem(109, ".index"))
	})
	add("zero-tail", unclean, one("idem-0", "plain-0"), func(s state) {
		s[idem(189, ".log")] += strings.Repeat("\x00", 4096-len(s[idem(189, ".log")]))
		s[segFile("plain-0", 0, ".log")] += strings.Repeat("\x00", 100)
	})
	add("zero-tail-only", unclean, one("idem-0"), func(s state) {
		s[segFile("idem-0", 189, ".log")] = strings.Repeat("\x00", 4096)
	})
	add("garbage-tail", unclean, one("idem-0"), func(s state) { s[idem(189, ".log")] += strings.Repeat("garbage", 30) })
	add("short-tail", unclean, one("idem-0"), func(s state) { s[idem(189, ".log")] += "tail" })
	add("one-batch-more-than-once", unclean, one("plain-0"), func(s state) {
		path := segFile("plain-0", 0, ".log")
		all := batches(t, s, path)
		s[path] += string(all[len(all)-1])
	}).butHere("Kafka's recovery takes a batch whose offset goes back unless an index entry happens to fall on it", "log d0/plain-0 start=0 end=34 ", "segments=0:1837 ")
	add("first-batch-above-the-base-clean", clean, one("plain-0"), func(s state) { rename(s, "plain-0", func(b *record.Batch) { b.SetBaseOffset(b.BaseOffset() + 100) }) })
	add("first-batch-above-the-base-unclean", unclean, one("plain-0"), func(s state) { rename(s, "plain-0", func(b *record.Batch) { b.SetBaseOffset(b.BaseOffset() + 100) }) })
	add("leader-epochs-not-in-the-file", unclean, one("plain-0"), func(s state) { s["d0/plain-0/leader-epoch-checkpoint"] = ""; noPoint(s) })
	// A segment that an old version compacted, with offsets that do not fit into it.
	overflow := func(s state) {
		s.move("d0/plain-0/", "d0/compacted-5/")
		var b strings.Builder
		for i, x := range batches(t, s, segFile("compacted-5", 0, ".log")) {
			x.SetBaseOffset(x.BaseOffset() + int64(i/3)<<30)
			b.Write(x)
		}
		s[segFile("compacted-5", 0, ".log")] = b.String()
		s[segFile("compacted-5", 0, ".index")], s[segFile("compacted-5", 0, ".timeindex")] = "", ""
		for path := range s {
			if strings.HasSuffix(path, ".snapshot") {
				delete(s, path)
			}
		}
	}
	add("overflow-clean", clean, one("plain-0"), overflow)
	add("overflow-unclean", unclean, one("plain-0"), overflow)
	add("overflow-without-index", clean, one("plain-0"), func(s state) { overflow(s); s.remove(segFile("compacted-5", 0, ".index")) })
	add("overflow-torn", unclean, one("plain-0"), func(s state) { overflow(s); s[segFile("compacted-5", 0, ".log")] += "torn" }).butHere("Kafka does not start", "segments=0:893,2147483667:944 ")
	add("overflow-at-the-end", unclean, one("plain-0"), func(s state) {
		overflow(s)
		all := batches(t, s, segFile("compacted-5", 0, ".log"))
		n := 0
		for _, x := range all[:7] {
			n += len(x)
		}
		s[segFile("compacted-5", 0, ".log")] = s[segFile("compacted-5", 0, ".log")][:n]
	})
	add("overflow-not-compacted", unclean, one("plain-0"), func(s state) { overflow(s); s.move("d0/compacted-5/", "d0/plain-0/") }) // its batches show that it was compacted once
	add("overflow-last-batch-only", unclean, one("plain-0"), func(s state) {
		s["d0/recovery-point-offset-checkpoint"] = ""
		all := batches(t, s, segFile("plain-0", 0, ".log"))
		last := all[len(all)-1]
		last.SetBaseOffset(last.BaseOffset() + 1<<40)
		s[segFile("plain-0", 0, ".log")] = s[segFile("plain-0", 0, ".log")][:len(s[segFile("plain-0", 0, ".log")])-len(last)] + string(last)
	}).butHere("Kafka makes a segment of its own of a batch whose offset is damaged; only compaction leaves such gaps", "log d0/plain-0 start=0 end=28 ", "segments=0:1440 ")
	for at, name := range map[int]string{5: "upwards", 6: "downwards"} {
		add("offset-damaged-"+name, unclean, one("idem-0"), func(s state) {
			noPoint(s)
			path := segFile("idem-0", 149, ".log")
			s[path] = flip(s.must(t, path), len(batches(t, s, path)[0])+at)
		}).butHere("Kafka empties the whole segment", "log d0/idem-0 start=0 end=154 ")
	}
	add("unreadable-partition-name-of-file", clean, one("plain-0"), func(s state) { s["d0/plain-0/leader-epoch-checkpoint.bak"] = "x" })
}

// rename changes all batches of a partition's only segment.
func rename(s state, dir string, change func(*record.Batch)) {
	path := segFile(dir, 0, ".log")
	rest := []byte(s[path])
	var b strings.Builder
	for len(rest) > 0 {
		x, more, err := record.Next(rest)
		if err != nil {
			panic(err)
		}
		change(&x)
		b.Write(x)
		rest = more
	}
	s[path] = b.String()
}

func swapCases(t *testing.T, add adder) {
	idem := func(base int, k string) string { return segFile("idem-0", base, k) }
	all := []string{".log", ".index", ".timeindex"}
	// swapped puts a segment's files under another suffix.
	swapped := func(s state, base int, suffix string) {
		for _, k := range all {
			s[idem(base, k)+suffix] = s.must(t, idem(base, k))
			delete(s, idem(base, k))
		}
	}
	for _, base := range []string{clean, unclean} {
		end := map[string]string{clean: "-clean", unclean: "-unclean"}[base]
		one := func(name string, change func(s state)) { add("swap-"+name+end, base, []string{"idem-0"}, change) }
		one("one", func(s state) { swapped(s, 72, ".swap") })
		one("several", func(s state) { swapped(s, 0, ".swap"); swapped(s, 72, ".swap"); swapped(s, 36, ".swap") })
		one("original-still-there", func(s state) {
			for _, k := range all {
				s[idem(72, k)+".swap"] = s[idem(72, k)]
			}
		})
		one("original-deleted", func(s state) {
			for _, k := range all {
				s[idem(72, k)+".swap"] = s[idem(72, k)]
			}
			swapped(s, 72, ".deleted")
		})
		one("merged", func(s state) { // 36 and 72 became one segment
			s[idem(36, ".log")+".swap"] = s[idem(36, ".log")] + s[idem(72, ".log")]
			s[idem(36, ".index")+".swap"], s[idem(36, ".timeindex")+".swap"] = s[idem(36, ".index")], s[idem(36, ".timeindex")]
		})
		one("log-renamed-indexes-not", func(s state) {
			s[idem(72, ".index")+".swap"], s[idem(72, ".timeindex")+".swap"] = s[idem(72, ".index")], s[idem(72, ".timeindex")]
			s.remove(idem(72, ".index") + "\x00")
			delete(s, idem(72, ".index"))
			delete(s, idem(72, ".timeindex"))
		})
		add("swap-indexes-renamed-log-not"+end, base, []string{"idem-0"}, func(s state) {
			s[idem(72, ".log")+".swap"] = s[idem(72, ".log")]
			delete(s, idem(72, ".log"))
		}).butHere("Kafka makes an index of zeros of the one it looked for beside the .swap file; here it is rebuilt", "file d0/idem-0/00000000000000000072.index 32 3a1357f2", "file d0/idem-0/00000000000000000072.timeindex 60 ab6b976c")
		one("orphan-indexes", func(s state) { s[idem(77, ".index")+".swap"], s[idem(77, ".timeindex")+".swap"] = "", "" })
		one("without-timeindex", func(s state) { swapped(s, 72, ".swap"); s.remove(idem(72, ".timeindex")) })
		one("and-cleaned-above", func(s state) {
			swapped(s, 72, ".swap")
			s[idem(109, ".log")+".cleaned"] = s[idem(109, ".log")]
		})
		one("and-cleaned-below", func(s state) { // a split that was not complete
			for _, k := range all {
				s[idem(72, k)+".swap"] = s[idem(72, k)]
				s[idem(36, k)+".cleaned"] = s[idem(36, k)]
			}
		})
		one("and-cleaned-at-the-same-base", func(s state) {
			s[idem(72, ".log")+".swap"] = s[idem(72, ".log")]
			s[idem(72, ".index")+".cleaned"] = s[idem(72, ".index")]
		})
		one("empty", func(s state) {
			s[idem(72, ".log")+".swap"], s[idem(72, ".index")+".swap"], s[idem(72, ".timeindex")+".swap"] = "", "", ""
		})
		one("snapshot-in-range", func(s state) { swapped(s, 72, ".swap") })
		add("swap-damaged"+end, base, []string{"idem-0"}, func(s state) {
			s[idem(72, ".log")+".swap"] = flip(s[idem(72, ".log")], 1500)
		}).butHere("Kafka deletes the segment that the damaged one replaces", "fatal")
		one("of-the-last", func(s state) { swapped(s, 189, ".swap") })
		one("with-txnindex", func(s state) { swapped(s, 72, ".swap"); s[idem(72, ".txnindex")+".swap"] = "" })
		add("cleaned-only"+end, base, []string{"idem-0"}, func(s state) {
			for _, k := range all {
				s[idem(36, k)+".cleaned"] = "x"
			}
		})
		add("deleted-only"+end, base, []string{"idem-0"}, func(s state) {
			for _, k := range append(all, ".snapshot", ".txnindex") {
				s[idem(36, k)+".deleted"] = "x"
			}
			s["d0/idem-0/any.deleted"] = ""
		})
	}
}

func snapshotCases(t *testing.T, add adder) {
	newest := map[string]int{clean: 209, unclean: 209}
	for _, base := range []string{clean, unclean} {
		end := map[string]string{clean: "-clean", unclean: "-unclean"}[base]
		one := func(name string, change func(s state)) {
			add("snapshot-"+name+end, base, []string{"idem-0", "txn-0"}, change)
		}
		path := segFile("idem-0", newest[base], ".snapshot")
		one("newest-missing", func(s state) { s.remove(path); s.remove(segFile("txn-0", 51, ".snapshot")) })
		one("newest-flipped", func(s state) { s[path] = flip(s.must(t, path), 20) })
		one("newest-empty", func(s state) { s[path] = "" })
		one("newest-short", func(s state) { s[path] = s.must(t, path)[:30] })
		one("newest-long", func(s state) { s[path] = s.must(t, path) + "x" })
		one("newest-other-version", func(s state) { s[path] = "\x00\x02" + s.must(t, path)[2:] })
		one("newest-count-huge", func(s state) { s[path] = s.must(t, path)[:6] + "\x7f\xff\xff\xff" + s[path][10:] })
		one("all-missing", func(s state) {
			for p := range s {
				if strings.HasSuffix(p, ".snapshot") {
					delete(s, p)
				}
			}
		})
		one("all-damaged", func(s state) {
			for p := range s {
				if strings.HasSuffix(p, ".snapshot") {
					s[p] = flip(s[p], 9)
				}
			}
		})
		one("strays", func(s state) {
			for _, o := range []int{10, 50, 205, 300, 5000} {
				s[segFile("idem-0", o, ".snapshot")] = s.must(t, segFile("idem-0", 189, ".snapshot"))
			}
		})
		one("stray-below-the-last-segment", func(s state) {
			s.remove(path)
			s[segFile("idem-0", 150, ".snapshot")] = s.must(t, segFile("idem-0", 149, ".snapshot"))
		})
		one("at-zero", func(s state) { s[segFile("idem-0", 0, ".snapshot")] = s.must(t, segFile("idem-0", 36, ".snapshot")) })
		one("of-a-segment-in-the-middle-missing", func(s state) { s.remove(segFile("idem-0", 109, ".snapshot")) })
	}
}

func smallFileCases(t *testing.T, add adder) {
	epochs := "d0/idem-0/leader-epoch-checkpoint"
	for name, text := range map[string]string{
		"empty": "", "version-only": "0\n", "stale-above-the-end": "0\n4\n0 0\n4 159\n7 209\n8 9000\n", "not-ascending-epochs": "0\n3\n4 100\n2 120\n5 150\n", "not-ascending-starts": "0\n3\n0 0\n4 159\n5 100\n",
		"twice": "0\n2\n4 0\n4 100\n", "gap-at-the-start": "0\n1\n4 159\n", "malformed": "0\n1\n4\n", "wrong-count": "0\n2\n0 0\n", "crlf": "0\r\n2\r\n0 0\r\n4 159\r\n", "garbage": "garbage", "other-version": "1\n0\n",
		"not-a-number": "0\n1\nx 0\n", "negative-epoch": "0\n1\n-1 0\n", "negative-start": "0\n1\n1 -3\n", "huge-epoch": "0\n1\n2147483648 0\n", "nul": "\x00\x00\x00", "spaces": "0\n2\n0   0\n4 \t159 \n",
	} {
		for _, base := range []string{clean, unclean} {
			c := add("epochs-"+name+map[string]string{clean: "-clean", unclean: "-unclean"}[base], base, one("idem-0"), func(s state) { s[epochs] = text })
			if name == "not-ascending-epochs" {
				c.butHere("Kafka leaves the file that contradicts itself", "leader-epoch-checkpoint 0|2|2 120|5 150")
			}
		}
	}
	add("epochs-missing-clean", clean, one("idem-0"), func(s state) { s.remove(epochs) })
	add("epochs-missing-unclean", unclean, one("idem-0"), func(s state) { s.remove(epochs) })
	add("epochs-missing-no-recovery-point", unclean, one("idem-0"), func(s state) { s.remove(epochs); s["d0/recovery-point-offset-checkpoint"] = "" })
	add("epochs-below-the-log-start", clean, one("trimmed-0"), func(s state) { s["d0/trimmed-0/leader-epoch-checkpoint"] = "0\n3\n0 0\n1 10\n2 40\n" })
	add("epochs-temporary-left", clean, one("idem-0"), func(s state) { s[epochs+".tmp"] = "0\n2" })
	id := "JLvnpmNkQIeKUGp6lIDhyw"
	for name, text := range map[string]string{
		"newline": "version: 0\ntopic_id: " + id + "\n", "crlf": "version: 0\r\ntopic_id: " + id + "\r\n", "padded": "version: 0\ntopic_id: " + id + "==", "zero": "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
		"empty": "", "version-1": "version: 1\ntopic_id: " + id, "no-space": "version:0\ntopic_id:" + id, "more-spaces": "version:   0\ntopic_id: \t " + id, "more-lines": "version: 0\ntopic_id: " + id + "\nmore: x\n",
		"trailing-space": "version: 0\ntopic_id: " + id + " ", "one-line": "version: 0\n", "short-id": "version: 0\ntopic_id: JLvnpmNkQIeKUGp6lIDh", "long-id": "version: 0\ntopic_id: " + id + "AAAA",
		"bad-id": "version: 0\ntopic_id: !!!npmNkQIeKUGp6lIDhyw", "garbage": "garbage", "nul": strings.Repeat("\x00", 43), "other-keys": "v: 0\nid: " + id, "version-negative": "version: -1\ntopic_id: " + id, "reserved": "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ",
		"loose-bits": "version: 0\ntopic_id: JLvnpmNkQIeKUGp6lIDhyx",
	} {
		add("id-"+name, clean, one("idem-0"), func(s state) { s["d0/idem-0/partition.metadata"] = text })
	}
	add("id-missing", clean, one("idem-0"), func(s state) { s.remove("d0/idem-0/partition.metadata") })
	add("id-temporary-left", clean, one("idem-0"), func(s state) { s["d0/idem-0/partition.metadata.tmp"] = "vers" }).butHere("Kafka leaves the temporary file", "log d0/idem-0 start=0 end=209 ")
}
