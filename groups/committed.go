package groups

import (
	"context"

	"gokafka/coordinator"
)

// Committed is an offset that a group has committed.
type Committed struct {
	Group string
	Part
	Offset int64
}

// Committed are the committed offsets of all groups of this broker that are loaded, in no order.
func (c *Coordinator) Committed(ctx context.Context) []Committed {
	ids, _ := c.rt.Active()
	var out []Committed
	for _, id := range ids {
		answers := make(chan []Committed, 1)
		over, err := c.rt.Do(id, func(m coordinator.Machine) {
			var list []Committed
			for _, g := range m.(*shard).groups {
				for p, o := range g.offsets {
					list = append(list, Committed{g.id, Part{p.topic, p.partition}, o.at})
				}
			}
			answers <- list
		})
		if err != nil {
			continue // given up since
		}
		select {
		case list := <-answers:
			out = append(out, list...)
		case <-over:
		case <-ctx.Done():
			return out
		}
	}
	return out
}
