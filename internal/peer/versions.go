package peer

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a broker says of itself in ApiVersions. Brokers before 3.0 check neither.
const (
	softwareName    = "gokafka"
	softwareVersion = "3.9.0"
)

type versionRange struct{ min, max int16 }

// apiVersionsAnswered is the version of an ApiVersions answer: 0 if it begins with UNSUPPORTED_VERSION (KIP-511).
func apiVersionsAnswered(asked int16, body []byte) int16 {
	if len(body) >= 2 && int16(binary.BigEndian.Uint16(body)) == kerr.UnsupportedVersion.Code {
		return 0
	}
	return asked
}

// loadVersions asks the peer what it serves, once a connection.
func (c *Conn) loadVersions(ctx context.Context) error {
	if c.ranges != nil {
		return nil
	}
	for _, v := range []int16{4, 0} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = v, softwareName, softwareVersion
		k, err := c.Request(ctx, req)
		if err != nil {
			return err
		}
		resp := k.(*kmsg.ApiVersionsResponse)
		if resp.ErrorCode == kerr.UnsupportedVersion.Code && v > 0 {
			continue
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return fmt.Errorf("ApiVersions of %s: %w", c.addr, err)
		}
		c.ranges = make(map[int16]versionRange, len(resp.ApiKeys))
		for _, k := range resp.ApiKeys {
			c.ranges[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
		}
		return nil
	}
	return fmt.Errorf("ApiVersions of %s: %w", c.addr, kerr.UnsupportedVersion)
}

// negotiate lowers req's version to the highest that the peer serves too; minVersion is the lowest the caller can do with.
func (c *Conn) negotiate(ctx context.Context, req kmsg.Request, minVersion int16) error {
	if err := c.loadVersions(ctx); err != nil {
		return err
	}
	r, ok := c.ranges[req.Key()]
	v := min(req.GetVersion(), r.max)
	if !ok || v < r.min || v < minVersion {
		return fmt.Errorf("%s of %s, served %d-%d, asked %d-%d: %w", kmsg.NameForKey(req.Key()), c.addr,
			r.min, r.max, minVersion, req.GetVersion(), kerr.UnsupportedVersion)
	}
	req.SetVersion(v)
	return nil
}
