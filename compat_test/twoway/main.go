// Command twoway passes the log directories of a broker to and fro between gokafka and Apache Kafka 3.9.1: one is ended,
// mostly by SIGKILL, at times in the middle of a start, at times cleanly; the other starts on what it left, with the same broker id, ZooKeeper and topics,
// appends with the same producer ids and the next sequences, and is ended in its turn. After each start every record must
// be there once, the last batch sent again must answer its first offset, a gap of sequences must be refused, epochs, topic
// ids and log starts must be what they were; after each end Apache's DumpLogSegments must find nothing in any file.
//
//	go run ./compat_test/twoway [-rounds 20] [-batches 20] [-seed N] [-dir DIR]
//
// A round is one turn of each. It exits with 1 when something was wrong; data and logs stay in the directory then.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 20, "how often each broker has its turn")
	batches := flag.Int("batches", 20, "batches to each partition in a turn, on average")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of everything that is random")
	dir := flag.String("dir", "", "for data and logs; a temporary one if empty")
	flag.Parse()
	if err := command(*rounds, *batches, *seed, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "twoway:", err)
		os.Exit(1)
	}
}

func command(rounds, batches int, seed uint64, dir string) error {
	temporary := dir == ""
	if temporary {
		var err error
		if dir, err = os.MkdirTemp("", "gokafka-twoway-"); err != nil {
			return err
		}
	}
	fmt.Printf("%d rounds, seed %d, data and logs in %s\n", rounds, seed, dir)
	begin := time.Now()
	r, err := do(context.Background(), options{dir: dir, rounds: rounds, batches: batches, seed: seed,
		logf: func(f string, a ...any) { fmt.Printf(f+"\n", a...) }})
	if err != nil {
		return err
	}
	fmt.Printf("%d rounds in %v: %s\n", rounds, time.Since(begin).Round(time.Second), r)
	if temporary {
		return os.RemoveAll(dir)
	}
	return nil
}

func (r *run) String() string {
	return fmt.Sprintf("%d kills, %d more in a start, %d clean stops; %d records read and right; %d files dumped without a finding; "+
		"%d batches had landed without an answer; %d log starts fell back to their checkpoint; %d records in and between transactions", r.kills, r.stumbles, r.stops, r.read, r.files, r.landed, r.reset, len(r.txns.entries))
}
