package controller

import (
	"context"
	"errors"
	"fmt"
)

// SuspicionChanged has the controller look again at a broker of which Options.Suspected says something else now. Apache knows no suspicion: there
// a dead broker leads until its session times out.
func (c *Controller) SuspicionChanged() {
	c.queue.note(event{name: "BrokerSuspicion", key: "suspicion", run: c.suspicionChanged})
}

func (c *Controller) suspicionChanged(ctx context.Context) error {
	if c.active {
		return c.brokersChanged(ctx)
	}
	if c.store == nil {
		return nil // not started, or between two sessions: startup looks who is controller
	}
	err := c.seize(ctx)
	if err != nil && !isOver(ctx, err) && !errors.Is(err, errMoved) {
		c.later("suspicion", "BrokerSuspicion", c.suspicionChanged)
	}
	return err
}

// seize takes the place of a controller whose process is dead.
func (c *Controller) seize(ctx context.Context) error {
	err := c.store.seize(ctx, c.opt.BrokerID, c.opt.Clock.NowMs(), c.opt.Suspected)
	if errors.Is(err, errMoved) {
		return c.maybeResign(ctx) // the controller lives, or is another one already
	}
	if err != nil {
		return err
	}
	c.log.Warn("seized the office of a controller whose process is gone", "was", c.controllerID)
	c.note(c.store.won.Epoch, fmt.Sprintf("seized the office of broker %d, whose process was seen to die", c.controllerID))
	return c.takeOffice(ctx)
}
