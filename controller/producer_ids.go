package controller

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// AllocateProducerIDs hands a block of producer ids to a broker: its first id and its length. Brokers of this house take
// their blocks from the store themselves; Apache's ask the controller. Both use the same compare-and-set.
func (c *Controller) AllocateProducerIDs(ctx context.Context, brokerID int32, brokerEpoch int64) (start int64, length int32, err error) {
	type block struct {
		start  int64
		length int32
	}
	b, err := ask(ctx, c, "AllocateProducerIds", func(ctx context.Context) (b block, err error) {
		switch r := c.s.brokers[brokerID]; {
		case r == nil:
			return b, fmt.Errorf("producer ids for broker %d: %w", brokerID, kerr.BrokerIDNotRegistered)
		case r.Epoch != brokerEpoch:
			return b, fmt.Errorf("producer ids for broker %d with epoch %d, registered with %d: %w", brokerID, brokerEpoch, r.Epoch, kerr.StaleBrokerEpoch)
		}
		b.start, b.length, err = c.store.nextProducerIDs(ctx, brokerID)
		return b, err
	})
	return b.start, b.length, err
}
