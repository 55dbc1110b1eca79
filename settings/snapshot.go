package settings

import (
	"maps"

	"gokafka/config"
	"gokafka/coordination/znode"
)

// Entity names a config entity as notifications do, such as {"users", "bob/clients/app1"}. Names are sanitized.
type Entity = znode.Entity

// Snapshot is the state of all dynamic configs at one time. Nothing in it is ever changed.
type Snapshot struct {
	// Broker is the config of this broker in force: static properties under the valid dynamic ones.
	Broker *config.Broker
	// Cluster and Own are the dynamic configs as they stand in /config/brokers/<default> and /config/brokers/N.
	Cluster, Own map[string]string
	// Raw are the entities of users, clients and ips, by type and name.
	Raw map[string]map[string]map[string]string

	topics   map[string]*topic
	fallback *config.Topic // of topics without overrides
}

type topic struct {
	overrides map[string]string
	effective *config.Topic
}

// Topic is the effective config of a topic; one that is not known has the broker's.
func (s *Snapshot) Topic(name string) *config.Topic {
	if t := s.topics[name]; t != nil {
		return t.effective
	}
	return s.fallback
}

// Overrides are the dynamic configs of a topic, nil if it is not known. Not to be changed.
func (s *Snapshot) Overrides(name string) map[string]string {
	if t := s.topics[name]; t != nil {
		return t.overrides
	}
	return nil
}

// Entity is the raw config of a user, client or IP address. Not to be changed.
func (s *Snapshot) Entity(e Entity) map[string]string { return s.Raw[e.Type][e.Name] }

// clone is a copy whose maps of the first level may be changed.
func (s *Snapshot) clone() *Snapshot {
	c := *s
	c.topics = maps.Clone(s.topics)
	c.Raw = maps.Clone(s.Raw)
	return &c
}

func (s *Snapshot) setRaw(e Entity, conf map[string]string) {
	m := maps.Clone(s.Raw[e.Type])
	if m == nil {
		m = make(map[string]map[string]string)
	}
	if len(conf) == 0 {
		delete(m, e.Name)
	} else {
		m[e.Name] = conf
	}
	s.Raw[e.Type] = m
}
