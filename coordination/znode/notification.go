package znode

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gokafka/coordination"
	"gokafka/metadata"
)

// Notification is a sequential node below one of the notification paths.
type Notification struct {
	Path     string
	Sequence int64
	Data     []byte
	CtimeMs  int64
}

// ListNotifications returns the sequential children of a notification path in the order of their numbers, without
// data. watch arms the WatchChildren of the path. A name without the prefix or a number is left out.
func ListNotifications(ctx context.Context, g *coordination.Generation, path string, watch bool) ([]Notification, error) {
	names, err := list(ctx, g, path, watch)
	if err != nil {
		return nil, fmt.Errorf("list notifications: %w", err)
	}
	prefix := map[string]string{
		ConfigChangesPath: configChangePrefix, ISRChangePath: isrChangePrefix, LogDirEventPath: logDirEventPrefix,
	}[path]
	out := make([]Notification, 0, len(names))
	for _, n := range names {
		num, ok := strings.CutPrefix(n, prefix)
		if !ok {
			continue
		}
		seq, err := strconv.ParseInt(num, 10, 64)
		if err != nil {
			continue
		}
		out = append(out, Notification{Path: path + "/" + n, Sequence: seq})
	}
	slices.SortFunc(out, func(a, b Notification) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return out, nil
}

// ReadNotifications fills in the data of ns; those that are gone are left out.
func ReadNotifications(ctx context.Context, g *coordination.Generation, ns []Notification) ([]Notification, error) {
	paths := make([]string, len(ns))
	for i, n := range ns {
		paths[i] = n.Path
	}
	data, err := g.GetMany(ctx, paths, false)
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	out := make([]Notification, 0, len(ns))
	for i, d := range data {
		if d.Err == nil {
			n := ns[i]
			n.Data, n.CtimeMs = d.Data, d.Stat.Ctime
			out = append(out, n)
		}
	}
	return out, nil
}

// DeleteNotifications deletes processed notifications, for a controller.
func (c *Controllership) DeleteNotifications(ctx context.Context, ns []Notification) error {
	paths := make([]string, len(ns))
	for i, n := range ns {
		paths[i] = n.Path
	}
	return c.DeleteMany(ctx, paths)
}

// NotifyISRChange tells the controller of ISRs that a leader has written itself (only with an inter-broker protocol
// below 2.7).
func NotifyISRChange(ctx context.Context, g *coordination.Generation, tps []metadata.TopicPartition) error {
	_, err := g.Create(ctx, ISRChangePath+"/"+isrChangePrefix, EncodePartitions(tps), coordination.PersistentSequential)
	return err
}

// EncodeLogDirEvent is the data of a log directory notification. Failure, 1, is the only event there is.
func EncodeLogDirEvent(brokerID int32) []byte {
	return encode(struct {
		Version int   `json:"version"`
		Broker  int32 `json:"broker"`
		Event   int   `json:"event"`
	}{1, brokerID, 1})
}

// DecodeLogDirEvent returns the broker whose log directory failed; ok is false if the data are no JSON.
func DecodeLogDirEvent(path string, data []byte) (brokerID int32, ok bool, err error) {
	if !json.Valid(data) {
		return 0, false, nil
	}
	var v struct {
		Broker *int32 `json:"broker"`
	}
	if err := decode(path, data, &v); err != nil {
		return 0, false, err
	}
	if v.Broker == nil {
		return 0, false, malformed(path, data, errors.New(`key "broker" is missing`))
	}
	return *v.Broker, true, nil
}

// NotifyLogDirFailure tells the controller that a log directory of the broker failed.
func NotifyLogDirFailure(ctx context.Context, g *coordination.Generation, brokerID int32) error {
	_, err := g.Create(ctx, LogDirEventPath+"/"+logDirEventPrefix, EncodeLogDirEvent(brokerID), coordination.PersistentSequential)
	if err != nil {
		return fmt.Errorf("report the failed log directory: %w", err)
	}
	return nil
}

// DeleteNotification deletes an expired notification, for any broker. One that is gone is no error.
func DeleteNotification(ctx context.Context, g *coordination.Generation, n Notification) error {
	if err := g.Delete(ctx, n.Path, coordination.AnyVersion); err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	return nil
}
