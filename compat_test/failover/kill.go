package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gokafka/compat_test/harness"
)

// leaderThatIsNoController moves leadership back to the preferred replicas, so that every broker leads something, and chooses one.
func (c *cluster) leaderThatIsNoController(ctx context.Context) (int32, error) {
	chosen := int32(-1)
	err := await(ctx, "a broker that leads and is not the controller", func() error {
		leaders, controller, complete, err := c.state(ctx)
		if err != nil {
			return err
		}
		for id, ps := range leaders {
			if complete && id != controller && len(ps) > 0 {
				chosen = id
				return nil
			}
		}
		return errors.New("none")
	})
	return chosen, err
}

// killLeader measures from the kill to the first acknowledgement on the slowest of the partitions that the broker led.
func (c *cluster) killLeader(ctx context.Context, id int32) (write, rejoin time.Duration, err error) {
	leaders, _, _, err := c.state(ctx)
	if err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	c.brokers[id].Kill()
	err = await(ctx, "writes to what the dead broker led", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, p := range leaders[id] {
			if c.acks[p].Before(killed.Add(echo)) {
				return fmt.Errorf("none on partition %d", p)
			}
		}
		return nil
	})
	write = time.Since(killed)
	if err == nil {
		rejoin, err = c.restart(ctx, id)
	}
	return write, rejoin, err
}

// killController measures from the kill to the creation of a topic, which the client tries again and again.
func (c *cluster) killController(ctx context.Context, name string) (created, rejoin time.Duration, err error) {
	_, id, _, err := c.state(ctx)
	if err != nil {
		return 0, 0, err
	}
	killed := time.Now()
	c.brokers[id].Kill()
	n := 0
	err = await(ctx, "a topic is created", func() error {
		n++
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := c.adm.CreateTopic(ctx, 1, 2, nil, fmt.Sprintf("%s-%d", name, n))
		return err
	})
	created = time.Since(killed)
	if err == nil {
		rejoin, err = c.restart(ctx, id)
	}
	return created, rejoin, err
}

// restart starts the broker again and measures until it is in all ISRs.
func (c *cluster) restart(ctx context.Context, id int32) (time.Duration, error) {
	if c.brokers[id].Target == harness.Apache { // it exits if its own old registration stands
		if err := c.brokers[id].AwaitOldSession(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := c.brokers[id].Launch(ctx); err != nil {
		return 0, err
	}
	if err := c.awaitISRs(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	return took, errors.Join(c.errs...)
}
