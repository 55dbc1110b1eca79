package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// RaiseLeaderEpochs adds to the leader epochs of partitions in a real ZooKeeper, while no broker runs, as elections do. A
// cluster of one broker that restarts has none of its own: its partitions' leader is alive when the controller looks.
func (b *Broker) RaiseLeaderEpochs(by func(topic string, partition int32) int32, partitions map[string]int32) error {
	addr, chroot, _ := strings.Cut(b.zkAddr, "/")
	if addr == "" {
		return errors.New("the leader epochs are not in a real ZooKeeper")
	}
	if chroot != "" {
		chroot = "/" + chroot
	}
	conn, _, err := zk.Connect([]string{addr}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		return err
	}
	defer conn.Close()
	for topic, n := range partitions {
		for i := range n {
			path := fmt.Sprintf("%s/brokers/topics/%s/partitions/%d/state", chroot, topic, i)
			if err := raiseEpoch(conn, path, by(topic, i)); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

func raiseEpoch(conn *zk.Conn, path string, by int32) error {
	if by == 0 {
		return nil
	}
	data, stat, err := conn.Get(path)
	if err != nil {
		return err
	}
	var state struct {
		ControllerEpoch int32   `json:"controller_epoch"`
		Leader          int32   `json:"leader"`
		Version         int32   `json:"version"`
		LeaderEpoch     int32   `json:"leader_epoch"`
		ISR             []int32 `json:"isr"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return err
	}
	state.LeaderEpoch += by
	if data, err = json.Marshal(state); err != nil {
		return err
	}
	_, err = conn.Set(path, data, stat.Version)
	return err
}
