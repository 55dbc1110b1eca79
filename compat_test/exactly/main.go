// Command exactly copies records in transactions with stock clients, aborts some of them, starts zombies, and kills brokers, the transaction and group
// coordinators among them, and clients, every few seconds. Afterwards each record must be in each copy exactly once, no half of a transaction may be seen, and no transaction
// may hang.
//
//	go run ./compat_test/exactly [-time 5m] [-clients franz-go,java,java-4.1.1,librdkafka] [-version 2] [-seed N]
//
// It exits with 1 when something was wrong; logs and data stay in the directory that it names.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	o := options{}
	flag.DurationVar(&o.length, "time", 5*time.Minute, "how long there are faults")
	names := flag.String("clients", strings.Join(copiers, ","), "clients that copy")
	level := flag.Int("version", 0, "transaction.version that is finalized first; 0 is none")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the faults")
	flag.Parse()
	o.clients, o.level = strings.Split(*names, ","), int16(*level)
	dir, err := os.MkdirTemp("", "gokafka-exactly-")
	if err == nil {
		fmt.Printf("seed %d, logs and data in %s\n", o.seed, dir)
		err = run(context.Background(), dir, o, func(line string) { fmt.Println(line) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "exactly:", err)
		os.Exit(1)
	}
	os.RemoveAll(dir)
}
