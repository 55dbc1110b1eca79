package clusterview

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"

	"gokafka/internal/show"
)

// Broker is a registered broker, or one that holds replicas and is down.
type Broker struct {
	ID       int32  `json:"id"`
	Rack     string `json:"rack"` // empty = none
	Live     bool   `json:"live"`
	Host     string `json:"host"` // as advertised for the listener that was asked; empty when down
	Port     int32  `json:"port"`
	Leaders  int    `json:"leaders"`  // partitions it leads
	Replicas int    `json:"replicas"` // partitions it has a replica of
	// Controller marks the controller.
	Controller bool `json:"controller"`
}

// Brokers is a list of brokers, by id.
type Brokers []Broker

// ReadBrokers lists the brokers.
func ReadBrokers(ctx context.Context, o Options) (Brokers, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	p, err := o.read(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close()
	return p.brokerList(), nil
}

func (p *picture) brokerList() Brokers {
	byID := map[int32]*Broker{}
	for i := range p.brokers {
		from := &p.brokers[i]
		b := &Broker{ID: from.NodeID, Live: true, Host: from.Host, Port: from.Port, Controller: from.NodeID == p.controller}
		if from.Rack != nil {
			b.Rack = *from.Rack
		}
		byID[b.ID] = b
	}
	seen := func(id int32) *Broker {
		b := byID[id]
		if b == nil {
			b = &Broker{ID: id}
			byID[id] = b
		}
		return b
	}
	for i := range p.partitions {
		part := &p.partitions[i]
		for _, id := range part.Replicas {
			seen(id).Replicas++
		}
		if part.Leader >= 0 {
			seen(part.Leader).Leaders++
		}
	}
	out := make(Brokers, 0, len(byID))
	for _, b := range byID {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (b *Broker) address() string {
	if !b.Live {
		return ""
	}
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

func (b *Broker) state() string {
	switch {
	case b.Controller:
		return "controller"
	case b.Live:
		return "live"
	default:
		return "down"
	}
}

// Table is a show.View.
func (bs Brokers) Table() show.Table {
	t := show.Table{Header: []string{"ID", "STATE", "ENDPOINT", "RACK", "LEADERS", "REPLICAS"}}
	for i := range bs {
		b := &bs[i]
		t.Add(itoa(b.ID), b.state(), b.address(), b.Rack, strconv.Itoa(b.Leaders), strconv.Itoa(b.Replicas))
	}
	return t
}
