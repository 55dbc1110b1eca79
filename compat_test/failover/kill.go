package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

const (
	topic      = "writes"
	partitions = 6
)

// victims is a cluster under load whose brokers are killed.
type victims struct {
	*cluster.Cluster
	writers *cluster.Writers
}

// leaderThatIsNoController chooses a broker.
func (c *victims) leaderThatIsNoController(ctx context.Context) (int32, error) {
	chosen := int32(-1)
	err := c.AwaitState(ctx, "a broker that leads and is not the controller", func(s *cluster.State) bool {
		for id, ps := range s.Leads[topic] {
			if s.Complete && id != s.Controller && len(ps) > 0 {
				chosen = id
				return true
			}
		}
		return false
	})
	return chosen, err
}

// killLeader measures from the kill to the first acknowledgement on the slowest of the partitions that the broker led.
func (c *victims) killLeader(ctx context.Context, id int32) (write, rejoin time.Duration, err error) {
	s, err := c.State(ctx)
	if err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	c.Brokers[id].Kill()
	err = c.writers.AwaitSince(ctx, killed, s.Leads[topic][id])
	write = time.Since(killed)
	if err == nil {
		rejoin, err = c.restart(ctx, id)
	}
	return write, rejoin, err
}

// killController measures from the kill to the creation of a topic, which the client tries again and again.
func (c *victims) killController(ctx context.Context, name string) (created, rejoin time.Duration, err error) {
	s, err := c.State(ctx)
	if err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	c.Brokers[s.Controller].Kill()
	n := 0
	err = cluster.Await(ctx, "a topic is created", func() error {
		n++
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := c.Admin.CreateTopic(ctx, 1, 2, nil, fmt.Sprintf("%s-%d", name, n))
		return err
	})
	created = time.Since(killed)
	if err == nil {
		rejoin, err = c.restart(ctx, s.Controller)
	}
	return created, rejoin, err
}

// restart starts the broker again and measures until it is in all ISRs.
func (c *victims) restart(ctx context.Context, id int32) (time.Duration, error) {
	if c.Brokers[id].Target == harness.Apache { // it exits if its own old registration stands
		if err := c.Brokers[id].AwaitOldSession(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := c.Brokers[id].Launch(ctx); err != nil {
		return 0, err
	}
	err := c.AwaitComplete(ctx)
	return time.Since(began), err
}

// check says what was lost, doubled or out of order after all the kills.
func (c *victims) check(ctx context.Context) error {
	c.writers.Stop()
	problems, n, err := c.writers.Check(ctx, c.Cluster)
	if err != nil {
		return err
	}
	fmt.Printf("%d records acknowledged, %d problems\n", n, len(problems))
	var errs []error
	for _, p := range problems {
		errs = append(errs, errors.New(p))
	}
	return errors.Join(errs...)
}
