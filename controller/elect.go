package controller

import (
	"context"
	"errors"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/znode"
)

// failurePause keeps a controller that cannot take office from winning every election in a row.
const failurePause = time.Second

// startup watches /controller and stands for election.
func (c *Controller) startup(ctx context.Context) error {
	g, _ := c.generation()
	c.store = &store{g: g, log: c.log}
	c.watch(znode.ControllerPath, coordination.WatchData, "ControllerChange", c.controllerChanged)
	return c.controllerChanged(ctx)
}

// controllerChanged looks who is controller; if nobody is, it tries to become it.
func (c *Controller) controllerChanged(ctx context.Context) error {
	err := c.maybeResign(ctx)
	if err == nil && c.controllerID == noController {
		err = c.elect(ctx)
	}
	if err != nil && !isOver(ctx, err) && !errors.Is(err, errMoved) { // nothing else would bring us back here
		c.later(watchKey(znode.ControllerPath, coordination.WatchData), "ControllerChange", c.controllerChanged)
	}
	return err
}

// maybeResign reads /controller, and arms the watch on it, and resigns if it names somebody else.
func (c *Controller) maybeResign(ctx context.Context) error {
	if c.store == nil {
		return nil // no generation yet
	}
	id, err := c.store.controllerID(ctx)
	if err != nil {
		return err
	}
	if id != c.controllerID {
		c.log.Info("the controller is now", "broker", id)
	}
	c.controllerID = id
	if c.active && id != c.opt.BrokerID {
		c.resign("controller moved")
	}
	return nil
}

// moved resigns after a failed epoch check. If /controller still is our own, somebody has raised the epoch without being
// elected: our office is worthless, so it is given up for a new election. (Apache would stay, and fail for ever.)
func (c *Controller) moved(ctx context.Context) error {
	if err := c.maybeResign(ctx); err != nil || !c.active {
		return err
	}
	c.resign("epoch check failed")
	c.controllerID = noController
	return c.store.dropOwnController(ctx)
}

func (c *Controller) elect(ctx context.Context) error {
	err := c.store.elect(ctx, c.opt.BrokerID, c.opt.Clock.NowMs())
	if errors.Is(err, errMoved) {
		c.log.Info("somebody else was elected", "error", err)
		return c.maybeResign(ctx)
	}
	if err != nil {
		return err
	}
	return c.takeOffice(ctx)
}

// takeOffice follows a won election.
func (c *Controller) takeOffice(ctx context.Context) error {
	epoch := c.store.won.Epoch
	c.s.epoch = epoch
	c.active, c.controllerID = true, c.opt.BrokerID
	c.activeEpch.Store(epoch)
	c.isActive.Store(true)
	c.counters.elections.Add(1)
	c.log.Info("successfully elected as the controller", "epoch", epoch, "epochZkVersion", c.store.won.ZkVersion)
	c.note(epoch, "elected as controller")
	err := c.failover(ctx)
	if err == nil || isOver(ctx, err) || errors.Is(err, errMoved) {
		return err
	}
	c.log.Error("cannot take office, giving it away", "error", err)
	if err := c.giveAway(ctx); err != nil {
		return err
	}
	return c.opt.Clock.Sleep(ctx, failurePause)
}

// giveAway resigns and deletes /controller, so that somebody is elected (Kafka 3.9 triggerControllerMove).
func (c *Controller) giveAway(ctx context.Context) error {
	c.resign("giving the office away")
	c.controllerID = noController
	return c.store.won.Resign(ctx)
}

// resign forgets everything. The watch on /controller stays.
func (c *Controller) resign(why string) {
	c.closeChannels()
	for path, w := range c.watches {
		if path != watchKey(znode.ControllerPath, coordination.WatchData) {
			w.Stop()
			delete(c.watches, path)
		}
	}
	if c.rebalance != nil {
		c.rebalance.Stop()
		c.rebalance = nil
	}
	was, epoch := c.active, c.s.epoch
	c.active, c.s = false, newCluster()
	c.isActive.Store(false)
	c.activeEpch.Store(-1)
	c.updateGauges()
	if was {
		c.log.Info("Resigned", "epoch", epoch, "why", why)
		c.note(epoch, "resigned: "+why)
	}
}

func (c *Controller) closeChannels() {
	for id := range c.channels {
		c.removeBroker(id)
	}
}

// watch has f run, as an event, after the watch on path has fired. f must read path again, which arms the watch.
func (c *Controller) watch(path string, kind coordination.WatchKind, name string, f func(context.Context) error) {
	key := watchKey(path, kind)
	if c.watches[key] != nil {
		return
	}
	c.watches[key] = c.opt.Session.Watch(path, kind, func() {
		c.queue.note(event{name: name, key: key, run: f})
	})
}

// ifActive makes an event that only a controller acts upon.
func (c *Controller) ifActive(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if !c.active {
			return nil
		}
		return f(ctx)
	}
}

func (c *Controller) unwatch(path string, kind coordination.WatchKind) {
	key := watchKey(path, kind)
	if w := c.watches[key]; w != nil {
		w.Stop()
		delete(c.watches, key)
	}
}

func watchKey(path string, kind coordination.WatchKind) string {
	if kind == coordination.WatchChildren {
		return "children of " + path
	}
	return "data of " + path
}
