package znode

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"gokafka/coordination"
)

// ProducerIDBlockSize is how many producer ids are taken at a time.
const ProducerIDBlockSize = 1000

// ProducerIDBlock is a block of producer ids that one broker hands out: Start to Start+Len-1.
type ProducerIDBlock struct {
	BrokerID int32
	Start    int64
	Len      int32
}

type producerIDJSON struct {
	Version int    `json:"version"`
	Broker  int32  `json:"broker"`
	Start   string `json:"block_start"`
	End     string `json:"block_end"` // inclusive
}

// EncodeProducerIDBlock is the data of /latest_producer_id_block.
func EncodeProducerIDBlock(b ProducerIDBlock) []byte {
	return encode(producerIDJSON{1, b.BrokerID, strconv.FormatInt(b.Start, 10),
		strconv.FormatInt(b.Start+int64(b.Len)-1, 10)})
}

// DecodeProducerIDBlock reads it; ok is false if no block was taken yet.
func DecodeProducerIDBlock(data []byte) (b ProducerIDBlock, ok bool, err error) {
	if len(data) == 0 {
		return ProducerIDBlock{}, false, nil
	}
	var v struct {
		Broker *int32  `json:"broker"`
		Start  *string `json:"block_start"`
		End    *string `json:"block_end"`
	}
	if err := decode(ProducerIDBlockPath, data, &v); err != nil {
		return ProducerIDBlock{}, false, err
	}
	if err := missing(map[string]bool{"broker": v.Broker != nil, "block_start": v.Start != nil,
		"block_end": v.End != nil}); err != nil {
		return ProducerIDBlock{}, false, malformed(ProducerIDBlockPath, data, err)
	}
	start, err := strconv.ParseInt(*v.Start, 10, 64)
	if err != nil {
		return ProducerIDBlock{}, false, malformed(ProducerIDBlockPath, data, err)
	}
	end, err := strconv.ParseInt(*v.End, 10, 64)
	if err != nil {
		return ProducerIDBlock{}, false, malformed(ProducerIDBlockPath, data, err)
	}
	if start < 0 || end < start || end-start >= math.MaxInt32 {
		return ProducerIDBlock{}, false, malformed(ProducerIDBlockPath, data, errors.New("no block"))
	}
	return ProducerIDBlock{*v.Broker, start, int32(end - start + 1)}, true, nil
}

// TakeProducerIDBlock takes the next block for a broker, by compare and set, so that no id is ever in two blocks,
// whoever takes them. A block whose reply was lost is left unused.
func TakeProducerIDBlock(ctx context.Context, g *coordination.Generation, brokerID int32) (ProducerIDBlock, error) {
	for {
		data, stat, err := g.Get(ctx, ProducerIDBlockPath)
		if errors.Is(err, coordination.ErrNoNode) {
			if err = g.EnsurePath(ctx, ProducerIDBlockPath); err == nil {
				continue
			}
		}
		if err != nil {
			return ProducerIDBlock{}, fmt.Errorf("take a producer id block: %w", err)
		}
		last, ok, err := DecodeProducerIDBlock(data)
		if err != nil {
			return ProducerIDBlock{}, fmt.Errorf("take a producer id block: %w", err)
		}
		b := ProducerIDBlock{BrokerID: brokerID, Len: ProducerIDBlockSize}
		if ok {
			if b.Start = last.Start + int64(last.Len); b.Start < 0 || b.Start > math.MaxInt64-ProducerIDBlockSize {
				return ProducerIDBlock{}, errors.New("take a producer id block: all producer ids are used up")
			}
		}
		_, err = g.Set(ctx, ProducerIDBlockPath, EncodeProducerIDBlock(b), stat.Version)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, coordination.ErrBadVersion) && !errors.Is(err, coordination.ErrNoNode) {
			return ProducerIDBlock{}, fmt.Errorf("take a producer id block: %w", err)
		}
	}
}
