package coordination

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Credentials are what it takes to resume a session, and so to end it. The password is a secret.
type Credentials struct {
	ID       int64
	Password []byte
}

// Credentials are those of this Generation's session.
func (g *Generation) Credentials() Credentials {
	return Credentials{ID: g.creds.ID, Password: slices.Clone(g.creds.Password)}
}

// endTimeout bounds the ending of a session at one server.
const endTimeout = 5 * time.Second

const (
	opClose         = -11
	connectBytes    = 48 // length 4, protocol version 4, last zxid 8, timeout 4, session id 8, password 4 + 16
	passwordBytes   = 16
	maxConnectReply = 64
)

// EndSession ends a session that is not this process's any more, with all its ephemeral nodes, without waiting for its
// timeout: a broker restarted after kill -9 takes over from itself. The caller must know that the process that
// opened it is dead. It says whether there was such a session. Only opts' servers, dialer and logger matter.
func EndSession(ctx context.Context, opts Options, c Credentials) (ended bool, err error) {
	if err := opts.setDefaults(); err != nil {
		return false, err
	}
	if c.ID == 0 || len(c.Password) != passwordBytes {
		return false, errors.New("no credentials of a session")
	}
	var errs []error
	for _, server := range opts.Servers {
		ended, err := endAt(ctx, opts, server, c)
		if err == nil {
			return ended, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", server, err))
	}
	return false, fmt.Errorf("end session 0x%x: %w", c.ID, errors.Join(errs...))
}

func endAt(ctx context.Context, opts Options, server string, c Credentials) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	nc, err := opts.Dial(ctx, server)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	if _, err := nc.Write(connectFrame(opts.SessionTimeout, c)); err != nil {
		return false, err
	}
	reply, err := readSmallFrame(nc)
	if err != nil {
		return false, err
	}
	if len(reply) < 16 {
		return false, fmt.Errorf("connect response of %d bytes", len(reply))
	}
	if binary.BigEndian.Uint64(reply[8:16]) == 0 {
		return false, nil // it has ended already
	}
	closing := binary.BigEndian.AppendUint32(nil, 8)
	closing = binary.BigEndian.AppendUint32(closing, 1) // xid
	op := int32(opClose)
	closing = binary.BigEndian.AppendUint32(closing, uint32(op))
	if _, err := nc.Write(closing); err != nil {
		return false, err
	}
	if _, err := readSmallFrame(nc); err != nil {
		return false, fmt.Errorf("closing of the session was not answered: %w", err)
	}
	return true, nil
}

// connectFrame is the request to resume a session.
func connectFrame(timeout time.Duration, c Credentials) []byte {
	b := make([]byte, 4, connectBytes)
	b = binary.BigEndian.AppendUint32(b, 0) // protocol version
	b = binary.BigEndian.AppendUint64(b, 0) // last zxid seen: none
	b = binary.BigEndian.AppendUint32(b, uint32(timeout.Milliseconds()))
	b = binary.BigEndian.AppendUint64(b, uint64(c.ID))
	b = binary.BigEndian.AppendUint32(b, passwordBytes)
	b = append(b, c.Password...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func readSmallFrame(nc net.Conn) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(nc, n[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(n[:])
	if size > maxConnectReply {
		return nil, fmt.Errorf("answer of %d bytes", size)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(nc, b)
	return b, err
}
