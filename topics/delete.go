package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/znode"
)

// Delete marks a topic for deletion, which the controller then carries out; a topic that is marked already is no error.
// Whether delete.topic.enable allows it is the caller's to check. It does not wait.
func (m *Manager) Delete(ctx context.Context, name string) error {
	if ValidateName(name) != nil {
		// No such topic can exist, and the name would make a path of its own.
		return refuse(kerr.UnknownTopicOrPartition, "Topic `%s` to delete does not exist", name)
	}
	g, err := m.generation(ctx)
	if err != nil {
		return err
	}
	stat, err := g.Exists(ctx, znode.TopicPath(name))
	if err != nil {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	if stat == nil {
		return refuse(kerr.UnknownTopicOrPartition, "Topic `%s` to delete does not exist", name)
	}
	if err := znode.MarkForDeletion(ctx, g, name); err != nil && !errors.Is(err, coordination.ErrNodeExists) {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	return nil
}

func isCode(err error, code *kerr.Error) bool {
	var k *kerr.Error
	return errors.As(err, &k) && k == code
}
