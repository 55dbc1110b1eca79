package znode

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
)

// ErrControllerMoved says that /controller_epoch is not what this controller left there: another one was elected, and
// this one must resign. It is STALE_CONTROLLER_EPOCH on the wire, as Apache's ControllerMovedException.
var ErrControllerMoved = fmt.Errorf("the controller moved to another broker: %w", kerr.StaleControllerEpoch)

// Controller is the registration of the elected controller.
type Controller struct {
	BrokerID   int32
	KRaftEpoch int32 // > 0: a KRaft controller owns the cluster (migration); -1 for a broker
	Owner      int64 // session that holds it; 0 for a persistent node (KRaft)
	ZkVersion  int32
}

// IsKRaft says whether the cluster is controlled by KRaft.
func (c Controller) IsKRaft() bool { return c.KRaftEpoch > 0 }

type controllerJSON struct {
	Version    int    `json:"version"`
	BrokerID   int32  `json:"brokerid"`
	Timestamp  string `json:"timestamp"`
	KRaftEpoch int32  `json:"kraftControllerEpoch"`
}

// EncodeController is the data of /controller for a broker.
func EncodeController(brokerID int32, nowMs int64) []byte {
	return encode(controllerJSON{2, brokerID, strconv.FormatInt(nowMs, 10), -1})
}

// DecodeController reads it.
func DecodeController(data []byte) (Controller, error) {
	var v struct {
		BrokerID   *int32 `json:"brokerid"`
		KRaftEpoch *int32 `json:"kraftControllerEpoch"`
	}
	if err := decode(ControllerPath, data, &v); err != nil {
		return Controller{}, err
	}
	if v.BrokerID == nil {
		return Controller{}, malformed(ControllerPath, data, errors.New(`key "brokerid" is missing`))
	}
	c := Controller{BrokerID: *v.BrokerID, KRaftEpoch: -1}
	if v.KRaftEpoch != nil {
		c.KRaftEpoch = *v.KRaftEpoch
	}
	return c, nil
}

// ReadController reads /controller; ok is false if there is none. watch arms its WatchData, whether it exists or not.
func ReadController(ctx context.Context, g *coordination.Generation, watch bool) (c Controller, ok bool, err error) {
	if watch {
		stat, err := g.ExistsW(ctx, ControllerPath)
		if err != nil || stat == nil {
			return Controller{}, false, err
		}
	}
	data, stat, err := g.Get(ctx, ControllerPath)
	if errors.Is(err, coordination.ErrNoNode) {
		return Controller{}, false, nil
	}
	if err != nil {
		return Controller{}, false, err
	}
	if c, err = DecodeController(data); err != nil {
		return Controller{}, false, err
	}
	c.ZkVersion, c.Owner = stat.Version, stat.EphemeralOwner
	return c, true, nil
}

// ReadControllerEpoch reads /controller_epoch; ok is false if no controller was ever elected.
func ReadControllerEpoch(ctx context.Context, g *coordination.Generation) (epoch, zkVersion int32, ok bool, err error) {
	data, stat, err := g.Get(ctx, ControllerEpochPath)
	if errors.Is(err, coordination.ErrNoNode) {
		return 0, unknownVersion, false, nil
	}
	if err != nil {
		return 0, 0, false, err
	}
	n, err := strconv.ParseInt(string(data), 10, 32)
	if err != nil {
		return 0, 0, false, malformed(ControllerEpochPath, data, err)
	}
	return int32(n), stat.Version, true, nil
}

// Controllership is a won election: the epoch, and the version of /controller_epoch that proves it. It holds for one
// Generation, whose end ends it.
type Controllership struct {
	Gen       *coordination.Generation
	BrokerID  int32
	Epoch     int32
	ZkVersion int32
}

// Elect tries to become the controller: it makes /controller and raises /controller_epoch in one transaction. If another
// broker was faster the error is ErrControllerMoved.
// Source: Kafka 3.9 KafkaZkClient.registerControllerAndIncrementControllerEpoch.
func Elect(ctx context.Context, g *coordination.Generation, brokerID int32, nowMs int64) (*Controllership, error) {
	epoch, zkVersion, err := epochToRaise(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("elect controller: %w", err)
	}
	c := &Controllership{Gen: g, BrokerID: brokerID, Epoch: epoch + 1}
	res, err := g.Multi(ctx,
		coordination.CreateOp(ControllerPath, EncodeController(brokerID, nowMs), coordination.Ephemeral),
		coordination.SetOp(ControllerEpochPath, []byte(strconv.Itoa(int(c.Epoch))), zkVersion))
	switch {
	case err == nil:
		c.ZkVersion = res[1].Stat.Version
		return c, nil
	case errors.Is(err, coordination.ErrNodeExists), errors.Is(err, coordination.ErrBadVersion):
		return c.readBack(ctx)
	}
	return nil, fmt.Errorf("elect controller: %w", err)
}

// Seize becomes the controller in the place of another broker, whose process is known to be dead while its session still stands: one transaction raises
// /controller_epoch, deletes the other's /controller and makes an own one. dead is told the id and the broker epoch of the controller that is found, and
// decides. ErrControllerMoved says that the controller is not dead, or that somebody was faster. A broker that was thought dead and is not has lost its office by
// this: each of its writes checks /controller_epoch.
func Seize(ctx context.Context, g *coordination.Generation, brokerID int32, nowMs int64, dead func(id int32, epoch int64) bool) (*Controllership, error) {
	// The epoch is read first: whoever is elected from here on raises it, and then the transaction fails.
	epoch, zkVersion, err := epochToRaise(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("seize controller: %w", err)
	}
	cur, ok, err := ReadController(ctx, g, false)
	if err != nil {
		return nil, fmt.Errorf("seize controller: %w", err)
	}
	if !ok || cur.BrokerID == brokerID {
		return nil, ErrControllerMoved
	}
	_, stat, err := g.Get(ctx, BrokerPath(cur.BrokerID))
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return nil, fmt.Errorf("seize controller: %w", err)
	}
	if err != nil || stat.EphemeralOwner != cur.Owner || !dead(cur.BrokerID, stat.Czxid) {
		return nil, ErrControllerMoved
	}
	c := &Controllership{Gen: g, BrokerID: brokerID, Epoch: epoch + 1}
	res, err := g.Multi(ctx,
		coordination.SetOp(ControllerEpochPath, []byte(strconv.Itoa(int(c.Epoch))), zkVersion),
		coordination.DeleteOp(ControllerPath, cur.ZkVersion),
		coordination.CreateOp(ControllerPath, EncodeController(brokerID, nowMs), coordination.Ephemeral))
	switch {
	case err == nil:
		c.ZkVersion = res[0].Stat.Version
		return c, nil
	case errors.Is(err, coordination.ErrBadVersion), errors.Is(err, coordination.ErrNoNode), errors.Is(err, coordination.ErrNodeExists):
		return c.readBack(ctx)
	}
	return nil, fmt.Errorf("seize controller: %w", err)
}

func epochToRaise(ctx context.Context, g *coordination.Generation) (epoch, zkVersion int32, err error) {
	for {
		epoch, zkVersion, ok, err := ReadControllerEpoch(ctx, g)
		if err != nil || ok {
			return epoch, zkVersion, err
		}
		_, err = g.Create(ctx, ControllerEpochPath, []byte("0"), coordination.Persistent)
		if err == nil {
			return 0, 0, nil
		}
		if !errors.Is(err, coordination.ErrNodeExists) {
			return 0, 0, err
		}
	}
}

// readBack settles an election that failed on a conflict: the conflict may be the first sending of the same
// transaction, whose reply was lost. It was ours if this session holds /controller and the epoch is the one we wanted;
// a later election would have raised it further.
func (c *Controllership) readBack(ctx context.Context) (*Controllership, error) {
	cur, ok, err := ReadController(ctx, c.Gen, false)
	if err != nil {
		return nil, fmt.Errorf("read back the election: %w", err)
	}
	if !ok || cur.BrokerID != c.BrokerID || cur.Owner != c.Gen.ID() {
		return nil, ErrControllerMoved
	}
	epoch, zkVersion, ok, err := ReadControllerEpoch(ctx, c.Gen)
	if err != nil {
		return nil, fmt.Errorf("read back the election: %w", err)
	}
	if !ok || epoch != c.Epoch {
		return nil, ErrControllerMoved
	}
	c.ZkVersion = zkVersion
	return c, nil
}

// Resign deletes /controller, which makes all brokers elect again. It does nothing if the controller has moved.
func (c *Controllership) Resign(ctx context.Context) error {
	_, err := c.Write(ctx, coordination.DeleteOp(ControllerPath, coordination.AnyVersion))
	if errors.Is(err, ErrControllerMoved) || errors.Is(err, coordination.ErrNoNode) {
		return nil
	}
	return err
}
