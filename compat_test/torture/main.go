// Command torture kills a broker by SIGKILL, 100 times unless told otherwise, at random moments of its start and of its
// load, and checks that nothing it gave away is lost or given again. See package crash.
//
//	go run ./compat_test/torture [-kills 100] [-seed N] [-inflight 5] [-dir DIR]
//
// GOKAFKA_COMPAT_TARGET chooses the broker. It exits with 1 when something was wrong; the data stays in the directory.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"gokafka/compat_test/crash"
	"gokafka/compat_test/harness"
)

func main() {
	kills := flag.Int("kills", 100, "how often the broker is killed")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments")
	inFlight := flag.Int("inflight", 5, "batches a producer has in flight; Apache can be held to its word only with 1")
	dir := flag.String("dir", "", "for data and logs; a temporary one if empty")
	flag.Parse()
	if err := run(*kills, *inFlight, *seed, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(kills, inFlight int, seed uint64, dir string) error {
	target, err := harness.TargetFromEnv()
	if err != nil {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "gokafka-torture-"); err != nil {
			return err
		}
	}
	b, err := harness.NewBroker(target, dir, harness.Options{})
	if err != nil {
		return err
	}
	defer b.Close()
	t := &crash.Torture{Broker: b, Kills: kills, Seed: seed, StartUp: 60 * time.Millisecond, Load: time.Second, InFlight: inFlight,
		Logf: func(f string, a ...any) { fmt.Printf(f+"\n", a...) }}
	if target == harness.Apache {
		t.StartUp, t.InFlight = 6*time.Second, 1
	}
	fmt.Printf("%s, %d kills, seed %d, data and logs in %s\n", target, kills, seed, dir)
	res, err := t.Run(context.Background())
	for _, p := range res.Problems {
		fmt.Println("WRONG:", p)
	}
	fmt.Printf("%d kills, %d of them in a start; %d records acknowledged; broker epoch observed: %v\n",
		res.Kills, res.InStartUp, res.Acknowledged, res.BrokerEpochKnown)
	if err != nil {
		return err
	}
	if len(res.Problems) > 0 {
		return fmt.Errorf("%d problems", len(res.Problems))
	}
	return nil
}
