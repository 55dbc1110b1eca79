package controller

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"gokafka/coordination"
	"gokafka/internal/clock"
)

// Controller takes part in the election of the cluster's controller and does its work while elected. Every broker has
// one. The exported methods are safe for concurrent use.
type Controller struct {
	opt   Options
	log   *slog.Logger
	queue *queue

	journal    journal
	counters   counters
	gauges     atomic.Pointer[gauges]
	isActive   atomic.Bool  // for other goroutines; follows active
	activeEpch atomic.Int32 // controller epoch while active, else -1

	// The event loop owns what follows.
	active       bool
	controllerID int32 // as last read; -1 = none
	s            *cluster
	store        *store
	channels     map[int32]*channel
	watches      map[string]*coordination.Watch
	rebalance    *clock.Timer

	mu        sync.Mutex // guards the rest
	gen       *coordination.Generation
	genCtx    context.Context // ends with gen, with the expiry, and with Stop
	genCancel context.CancelFunc
	stopped   bool

	stop       context.CancelFunc
	loopDone   chan struct{}
	removeHook func()
}

// New returns a controller that does nothing before Start.
func New(opt Options) *Controller {
	opt = opt.withDefaults()
	c := &Controller{
		opt: opt, queue: newQueue(), controllerID: noController, s: newCluster(),
		channels: map[int32]*channel{}, watches: map[string]*coordination.Watch{},
		stop: func() {}, removeHook: func() {},
	}
	c.log = slog.New(prefixHandler{opt.Logger.Handler(), prefix(opt.BrokerID)})
	c.gauges.Store(&gauges{})
	c.activeEpch.Store(-1)
	return c
}

const noController int32 = -1

// Start begins to stand for election. The broker must be registered already, under the session's current generation.
func (c *Controller) Start(ctx context.Context) error {
	g, err := c.opt.Session.Await(ctx)
	if err != nil {
		return err
	}
	loopCtx, stop := context.WithCancel(context.Background())
	c.stop, c.loopDone = stop, make(chan struct{})
	c.enter(g)
	c.removeHook = c.opt.Session.AddHook(coordination.Hook{Name: "controller", Before: c.expired, After: c.renewed})
	c.queue.note(event{name: "Startup", key: "elect", run: c.startup})
	go c.loop(loopCtx)
	return nil
}

// Stop resigns without deleting /controller (the session's end does that), ends all channels and waits.
func (c *Controller) Stop() {
	c.mu.Lock()
	if c.stopped || c.loopDone == nil {
		c.stopped = true
		c.mu.Unlock()
		return
	}
	c.stopped = true
	cancel := c.genCancel
	c.mu.Unlock()
	c.removeHook()
	cancel()
	c.queue.close(errStopped)
	c.stop()
	<-c.loopDone
}

// IsActive says whether this broker is the controller, as far as it knows.
func (c *Controller) IsActive() bool { return c.isActive.Load() }

// ActiveEpoch is the controller epoch while this broker is the controller, -1 otherwise.
func (c *Controller) ActiveEpoch() int32 { return c.activeEpch.Load() }

// enter makes g the generation under which events run.
func (c *Controller) enter(g *coordination.Generation) {
	ctx, cancel := g.Context(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen, c.genCtx, c.genCancel = g, ctx, cancel
	if c.stopped {
		cancel()
	}
}

func (c *Controller) generation() (*coordination.Generation, context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen, c.genCtx
}

// expired overtakes the queue: what waits is dropped, what runs is cut short, and the controller has resigned before a
// new ZooKeeper session begins (Kafka 3.9 Expire, clearAndPut).
func (c *Controller) expired() {
	c.mu.Lock()
	cancel, stopped := c.genCancel, c.stopped
	c.mu.Unlock()
	cancel()
	if stopped {
		return
	}
	done := make(chan struct{})
	over := func() { close(done) }
	c.queue.clear(ErrNotActive, event{
		name: "Expire", key: "expire", always: true,
		run: func(context.Context) error {
			defer over()
			c.controllerID = noController
			c.resign("session expired")
			return nil
		},
		drop: func(error) { over() },
	})
	select {
	case <-done:
	case <-c.loopDone:
	}
}

// renewed registers the broker under the new session and stands for election again (Kafka 3.9 RegisterBrokerAndReelect).
func (c *Controller) renewed(_ context.Context, g *coordination.Generation) {
	c.enter(g)
	c.queue.note(event{name: "RegisterBrokerAndReelect", key: "register", run: func(ctx context.Context) error {
		return c.reregister(ctx, g)
	}})
}

func (c *Controller) reregister(ctx context.Context, g *coordination.Generation) error {
	if c.opt.Register != nil {
		epoch, err := c.opt.Register(ctx, g)
		if err != nil {
			c.later("register", "RegisterBrokerAndReelect", func(ctx context.Context) error { return c.reregister(ctx, g) })
			return err
		}
		c.log.Info("registered anew", "brokerEpoch", epoch)
	}
	return c.startup(ctx)
}

// later runs f as an event after a pause. It serves what must be tried until it succeeds.
func (c *Controller) later(key, name string, f func(context.Context) error) {
	g, _ := c.generation()
	c.opt.Clock.AfterFunc(failurePause, func() {
		if g.Err() == nil {
			c.queue.note(event{name: name, key: key, run: f})
		}
	})
}

// loop runs events one after another.
func (c *Controller) loop(ctx context.Context) {
	defer close(c.loopDone)
	defer c.resign("shutting down")
	for {
		e, ok := c.queue.pop()
		if !ok {
			c.updateGauges()
			select {
			case <-c.queue.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil {
			if e.drop != nil {
				e.drop(errStopped)
			}
			return
		}
		c.process(e)
	}
}

func (c *Controller) process(e event) {
	g, ctx := c.generation()
	if g.Err() != nil && !e.always {
		// The Expire event is about to come. Until then the picture is out of date, or half made.
		if e.drop != nil {
			e.drop(ErrNotActive)
		}
		return
	}
	state, at := c.began(&e)
	err := e.run(ctx)
	c.ended(state, at)
	switch {
	case err == nil:
	case isOver(ctx, err):
		c.log.Info("event cut short by the end of the session", "event", e.name)
	case errors.Is(err, errMoved):
		c.log.Info("controller moved to another broker", "event", e.name, "error", err)
		if err := c.moved(ctx); err != nil && ctx.Err() == nil {
			c.log.Error("cannot find out who is controller", "error", err)
			c.later("elect", "ControllerChange", c.controllerChanged)
		}
	default:
		c.counters.errors.Add(1)
		c.log.Error("event failed", "event", e.name, "error", err)
	}
}
