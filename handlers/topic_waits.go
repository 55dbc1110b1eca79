package handlers

import (
	"context"
	"sync"
	"time"

	"gokafka/internal/clock"
	"gokafka/metadata"
)

// topicWaits lets admin requests wait until the controller's picture shows what they asked for (Kafka 3.9 DelayedCreatePartitions, DelayedDeleteTopics).
type topicWaits struct {
	cache *metadata.Cache
	mu    sync.Mutex
	chans map[string][]chan struct{} // by topic; a channel of capacity 1 is told of a change
}

func newTopicWaits(cache *metadata.Cache) *topicWaits {
	return &topicWaits{cache: cache, chans: map[string][]chan struct{}{}}
}

// changed tells those who wait for one of the topics to look again.
func (w *topicWaits) changed(topics []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.chans) == 0 {
		return
	}
	for _, t := range topics {
		for _, ch := range w.chans[t] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}

func (w *topicWaits) add(topics []string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range topics {
		w.chans[t] = append(w.chans[t], ch)
	}
}

func (w *topicWaits) remove(topics []string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range topics {
		list := w.chans[t]
		for i, c := range list {
			if c == ch {
				list = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if len(list) == 0 {
			delete(w.chans, t)
		} else {
			w.chans[t] = list
		}
	}
}

// wait waits until done holds for every topic, and returns those for which it does not within timeout. A timeout that is not positive means not to wait at all.
func (w *topicWaits) wait(ctx context.Context, clk *clock.Clock, topics []string, timeout time.Duration, done func(im *metadata.Image, topic string) bool) (left []string) {
	ch := make(chan struct{}, 1)
	w.add(topics, ch)
	defer w.remove(topics, ch)
	t := clk.NewTimer(max(timeout, 0))
	defer t.Stop()
	for {
		im := w.cache.Image()
		left = left[:0:0]
		for _, topic := range topics {
			if !done(im, topic) {
				left = append(left, topic)
			}
		}
		if len(left) == 0 || timeout <= 0 {
			return left
		}
		select {
		case <-ch:
		case <-t.C:
			return left
		case <-ctx.Done():
			return left
		}
	}
}

// ledBy says whether n partitions of the topic have a leader.
func ledBy(im *metadata.Image, topic string, n int) bool {
	t := im.Topic(topic)
	if t == nil || len(t.Partitions) < n {
		return false
	}
	for i, p := range t.Partitions[:n] {
		if p.Index != int32(i) || p.Leader < 0 {
			return false
		}
	}
	return true
}
