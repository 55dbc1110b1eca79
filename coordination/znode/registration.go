package znode

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"gokafka/coordination"
)

// Registered is a broker's registration under a session.
type Registered struct {
	Epoch   int64 // broker epoch: czxid of the registration
	Session int64 // ZooKeeper session that holds it
}

// BrokerIDInUseError says that a broker id is registered by a session that is not known to be this process's own: a
// broker elsewhere, or the one that ran here before a crash, whose session has yet to time out.
type BrokerIDInUseError struct {
	ID    int32
	Owner int64 // session
}

func (e *BrokerIDInUseError) Error() string {
	return fmt.Sprintf("broker id %d is registered in ZooKeeper by another session, 0x%x: "+
		"another broker with this id is running, or the session of one that died has not timed out yet", e.ID, e.Owner)
}

// RegisterBroker makes /brokers/ids/N, as a create and a set in one transaction: the reply to a create alone does not
// tell the czxid. prev is the registration that this process made under an earlier session, or zero; ZooKeeper may show
// it for a while after that session expired (ZOOKEEPER-2985, KAFKA-7165), and it is then deleted and made anew. A
// registration of any other session is left alone, and the error is a *BrokerIDInUseError.
// Source: Kafka 3.9 KafkaZkClient.CheckedEphemeral.
func RegisterBroker(ctx context.Context, g *coordination.Generation, r Registration, prev Registered) (Registered, error) {
	path, data := BrokerPath(r.Broker.ID), EncodeBroker(r)
	for {
		res, err := g.Multi(ctx,
			coordination.CreateOp(path, nil, coordination.Ephemeral), coordination.SetOp(path, data, 0))
		if err == nil {
			return Registered{Epoch: res[1].Stat.Czxid, Session: g.ID()}, nil
		}
		if !errors.Is(err, coordination.ErrNodeExists) {
			return Registered{}, fmt.Errorf("register broker %d: %w", r.Broker.ID, err)
		}
		stat, err := g.Exists(ctx, path)
		switch {
		case err != nil:
			return Registered{}, fmt.Errorf("register broker %d: %w", r.Broker.ID, err)
		case stat == nil: // went away meanwhile
		case stat.EphemeralOwner == g.ID(): // made by this session, perhaps by a sending whose reply was lost
			return Registered{Epoch: stat.Czxid, Session: g.ID()}, nil
		case prev.Session != 0 && stat.EphemeralOwner == prev.Session:
			// ZooKeeper has no delete on condition of the owner; the version is the nearest thing.
			if err := g.Delete(ctx, path, stat.Version); err != nil &&
				!errors.Is(err, coordination.ErrNoNode) && !errors.Is(err, coordination.ErrBadVersion) {
				return Registered{}, fmt.Errorf("delete the former registration of broker %d: %w", r.Broker.ID, err)
			}
		default:
			return Registered{}, &BrokerIDInUseError{ID: r.Broker.ID, Owner: stat.EphemeralOwner}
		}
	}
}

// UpdateBroker replaces the data of an own registration, such as for changed endpoints. The broker epoch stays.
func UpdateBroker(ctx context.Context, g *coordination.Generation, r Registration) error {
	if _, err := g.Set(ctx, BrokerPath(r.Broker.ID), EncodeBroker(r), coordination.AnyVersion); err != nil {
		return fmt.Errorf("update broker %d: %w", r.Broker.ID, err)
	}
	return nil
}

// AwaitBrokerGone waits until the broker id is not registered, or ctx or the Generation ends. changed must be signalled
// by a WatchData handler on BrokerPath(id).
func AwaitBrokerGone(ctx context.Context, g *coordination.Generation, id int32, changed <-chan struct{}) error {
	for {
		stat, err := g.ExistsW(ctx, BrokerPath(id))
		if err != nil || stat == nil {
			return err
		}
		select {
		case <-changed:
		case <-g.Done():
			return g.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ReadBroker reads one registration; ok is false if there is none. watch arms its WatchData, if it exists.
func ReadBroker(ctx context.Context, g *coordination.Generation, id int32, watch bool) (r Registration, ok bool, err error) {
	get := g.Get
	if watch {
		get = g.GetW
	}
	data, stat, err := get(ctx, BrokerPath(id))
	if errors.Is(err, coordination.ErrNoNode) {
		return Registration{}, false, nil
	}
	if err != nil {
		return Registration{}, false, err
	}
	r, err = DecodeBroker(id, data, stat.Czxid)
	return r, err == nil, err
}

// ListBrokers returns the ids of the registered brokers. watch arms the WatchChildren of BrokerIDsPath.
func ListBrokers(ctx context.Context, g *coordination.Generation, watch bool) ([]int32, error) {
	names, err := list(ctx, g, BrokerIDsPath, watch)
	if err != nil {
		return nil, fmt.Errorf("list brokers: %w", err)
	}
	ids := make([]int32, 0, len(names))
	for _, n := range names {
		id, err := strconv.ParseInt(n, 10, 32)
		if err != nil {
			continue // not a broker's: nothing that a broker could be reached by
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}

// ReadBrokers reads the registrations of those ids that are still there, in the order of ids. A malformed one is left
// out and reported in bad (Apache fails as a whole): a broken neighbour must not stop the cluster.
func ReadBrokers(ctx context.Context, g *coordination.Generation, ids []int32) (rs []Registration, bad []error, err error) {
	paths := make([]string, len(ids))
	for i, id := range ids {
		paths[i] = BrokerPath(id)
	}
	data, err := g.GetMany(ctx, paths, false)
	if err != nil {
		return nil, nil, fmt.Errorf("read brokers: %w", err)
	}
	for i, d := range data {
		if d.Err != nil {
			continue
		}
		r, err := DecodeBroker(ids[i], d.Data, d.Stat.Czxid)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		rs = append(rs, r)
	}
	return rs, bad, nil
}

// NextBrokerID returns a broker id that was never given out: above reservedMax (reserved.broker.max.id), by the number
// of writes to /brokers/seqid.
func NextBrokerID(ctx context.Context, g *coordination.Generation, reservedMax int32) (int32, error) {
	for {
		stat, err := g.Set(ctx, BrokerSeqIDPath, []byte{}, coordination.AnyVersion)
		if err == nil {
			if id := int64(stat.Version) + int64(reservedMax); id <= 1<<31-1 {
				return int32(id), nil
			}
			return 0, fmt.Errorf("generate a broker id: %d + %d is out of range", stat.Version, reservedMax)
		}
		if !errors.Is(err, coordination.ErrNoNode) {
			return 0, fmt.Errorf("generate a broker id: %w", err)
		}
		if err := g.EnsurePath(ctx, BrokerSeqIDPath); err != nil {
			return 0, fmt.Errorf("generate a broker id: %w", err)
		}
	}
}
