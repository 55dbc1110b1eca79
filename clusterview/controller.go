package clusterview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gokafka/internal/show"
)

// Controller is the cluster's controller and, if it was asked for, the journal of a broker.
type Controller struct {
	ID      int32    `json:"id"`
	Address string   `json:"address"`
	Rack    string   `json:"rack"`
	Journal *Journal `json:"journal,omitempty"`
}

// JournalQuery says where a journal is and what of it is wanted.
type JournalQuery struct {
	// HTTP is the HTTP port of a broker, host:port or a URL; empty = no journal.
	HTTP string
	// Topic and Partition narrow it down; empty and negative = all.
	Topic     string
	Partition int32
	// Limit is the number of decisions.
	Limit int
}

// ErrNoController says that the brokers know no controller.
var ErrNoController = errors.New("the cluster has no controller")

// ReadController finds the controller.
func ReadController(ctx context.Context, o Options, q JournalQuery) (*Controller, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	p, err := o.read(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close()
	b := p.broker(p.controller)
	if b == nil {
		return nil, ErrNoController
	}
	c := &Controller{ID: b.NodeID, Address: hostPort(b)}
	if b.Rack != nil {
		c.Rack = *b.Rack
	}
	if q.HTTP == "" {
		return c, nil
	}
	if c.Journal, err = q.read(ctx); err != nil {
		return nil, fmt.Errorf("the journal of %s: %s", q.HTTP, reason(err, o.Timeout))
	}
	if j := c.Journal; !j.Active {
		o.note("broker %d is not the controller: its journal tells of earlier offices, if it had any", j.BrokerID)
	}
	return c, nil
}

// maxJournalBytes bounds an answer, and maxRefusal what is repeated of a refusal.
const (
	maxJournalBytes = 8 << 20
	maxRefusal      = 200
)

func (q *JournalQuery) url() string {
	base := q.HTTP
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	v := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	if q.Topic != "" {
		v.Set("topic", q.Topic)
	}
	if q.Partition >= 0 {
		v.Set("partition", itoa(q.Partition))
	}
	return strings.TrimSuffix(base, "/") + JournalPath + "?" + v.Encode()
}

func (q *JournalQuery) read(ctx context.Context) (*Journal, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url(), nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a broker sends nobody elsewhere
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxJournalBytes)
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(body, maxRefusal))
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	j := &Journal{}
	if err := json.NewDecoder(body).Decode(j); err != nil {
		return nil, fmt.Errorf("not a journal: %w", err)
	}
	return j, nil
}

// Table is a show.View.
func (c *Controller) Table() show.Table {
	t := show.Table{}
	t.Add("controller", itoa(c.ID))
	t.Add("address", c.Address)
	t.Add("rack", c.Rack)
	if j := c.Journal; j != nil {
		if j.Active && j.BrokerID == c.ID {
			t.Add("epoch", itoa(j.ControllerEpoch))
		}
		t.Add("journal", fmt.Sprintf("of broker %d, %d of %d decisions", j.BrokerID, len(j.Decisions), j.Total))
		t.Next = &show.Table{Header: []string{"TIME", "CONTROLLER EPOCH", "PARTITION", "LEADER", "EPOCH", "ISR", "WHY"}}
		for i := range j.Decisions {
			addDecision(t.Next, &j.Decisions[i])
		}
	}
	return t
}

// addDecision shows a change of leaders as from → to.
func addDecision(t *show.Table, d *Decision) {
	at := d.Time.UTC().Format("2006-01-02T15:04:05.000Z")
	p := d.Partition
	if p == nil {
		t.Add(at, itoa(d.ControllerEpoch), "", "", "", "", d.Why)
		return
	}
	leader := brokerName(p.Leader)
	if p.PreviousLeader != p.Leader {
		leader = brokerName(p.PreviousLeader) + " > " + leader
	}
	t.Add(at, itoa(d.ControllerEpoch), p.Topic+"-"+itoa(p.Partition), leader, itoa(p.LeaderEpoch), ids(p.ISR), d.Why)
}
