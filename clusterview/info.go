package clusterview

import (
	"context"
	"strconv"

	"gokafka/internal/show"
)

// Info is a cluster in numbers.
type Info struct {
	ClusterID       string  `json:"clusterId"`
	Controller      int32   `json:"controller"` // -1 = none
	ControllerAddr  string  `json:"controllerAddress"`
	Brokers         int     `json:"brokers"`     // registered
	BrokersDown     []int32 `json:"brokersDown"` // they have replicas and are not registered
	Topics          int     `json:"topics"`
	Partitions      int     `json:"partitions"`
	UnderReplicated int     `json:"underReplicated"`
	Offline         int     `json:"offline"` // partitions without a live leader
	UnderMinISR     int     `json:"underMinIsr"`
}

// ReadInfo counts.
func ReadInfo(ctx context.Context, o Options) (*Info, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	p, err := o.read(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close()
	h := health{p: p, adding: o.adding(ctx, p)}
	if h.minISR, err = p.minISR(ctx, p.topics); err != nil {
		return nil, err
	}
	return p.info(&h), nil
}

func (p *picture) info(h *health) *Info {
	in := &Info{ClusterID: p.id, Controller: noBroker, Brokers: len(p.brokers), BrokersDown: []int32{}, Topics: len(p.topics), Partitions: len(p.partitions)}
	if c := p.broker(p.controller); c != nil {
		in.Controller, in.ControllerAddr = c.NodeID, hostPort(c)
	}
	for _, b := range p.brokerList() {
		if !b.Live {
			in.BrokersDown = append(in.BrokersDown, b.ID)
		}
	}
	for i := range p.partitions {
		part := &p.partitions[i]
		if h.underReplicated(part) {
			in.UnderReplicated++
		}
		if h.offline(part) {
			in.Offline++
		}
		if h.underMinISR(part) {
			in.UnderMinISR++
		}
	}
	return in
}

// Table is a show.View.
func (in *Info) Table() show.Table {
	var t show.Table
	t.Add("cluster id", in.ClusterID)
	controller := brokerName(in.Controller)
	if in.ControllerAddr != "" {
		controller += " (" + in.ControllerAddr + ")"
	}
	t.Add("controller", controller)
	brokers := strconv.Itoa(in.Brokers)
	if len(in.BrokersDown) > 0 {
		brokers += " (down: " + ids(in.BrokersDown) + ")"
	}
	t.Add("brokers", brokers)
	t.Add("topics", strconv.Itoa(in.Topics))
	t.Add("partitions", strconv.Itoa(in.Partitions))
	t.Add("under-replicated", strconv.Itoa(in.UnderReplicated))
	t.Add("offline", strconv.Itoa(in.Offline))
	t.Add("below min ISR", strconv.Itoa(in.UnderMinISR))
	return t
}
