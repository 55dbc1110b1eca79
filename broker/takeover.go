package broker

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gokafka/coordination"
)

// sessionFile holds the credentials of the broker's ZooKeeper session, in the first log directory. An Apache broker ignores plain files there.
//
// A broker that was killed leaves its session behind, and with it its registration and perhaps the controllership, until the session times out. Whoever holds
// the lock of the log directory knows that the process that wrote this file is dead, and ends its session at once. The file names host and
// directory, so that a copy of the directory ends nobody's session.
const sessionFile = ".gokafka-session"

type storedSession struct {
	Host     string `json:"host"`
	Dir      string `json:"dir"`
	Connect  string `json:"connect"` // zookeeper.connect, empty for the embedded server
	Session  int64  `json:"session"`
	Password string `json:"password"` // hex
}

func (b *Broker) sessionPath() string { return filepath.Join(b.cfg.LogDirs[0], sessionFile) }

// here is a storedSession of this place without credentials.
func (b *Broker) here() (storedSession, error) {
	host, err := os.Hostname()
	if err != nil {
		return storedSession{}, err
	}
	dir, err := filepath.Abs(b.cfg.LogDirs[0])
	if err != nil {
		return storedSession{}, err
	}
	return storedSession{Host: host, Dir: dir, Connect: b.cfg.ZooKeeperConnect}, nil
}

// takeOver ends the session that an earlier process of this broker left, and stores the current one. Call it with the log directories locked. A failure costs only time: the
// old session then ends by its timeout.
func (b *Broker) takeOver(ctx context.Context) {
	if old, ok := b.readSession(); ok {
		ended, err := coordination.EndSession(ctx, b.zk, old)
		switch {
		case err != nil:
			b.logger.Warn("The session of the earlier process could not be ended", "session", fmt.Sprintf("0x%x", old.ID), "error", err)
		case ended:
			b.logger.Info("Ended the session of the earlier process", "session", fmt.Sprintf("0x%x", old.ID))
		}
	}
	b.storeSession(b.session.Current())
	remove := b.session.AddHook(coordination.Hook{Name: "session file", After: func(_ context.Context, g *coordination.Generation) { b.storeSession(g) }})
	b.did(remove)
}

// readSession returns the credentials that an earlier process stored here.
func (b *Broker) readSession() (coordination.Credentials, bool) {
	want, err := b.here()
	if err != nil {
		return coordination.Credentials{}, false
	}
	f, err := b.fs.OpenFile(b.sessionPath(), os.O_RDONLY, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.logger.Warn("Session file could not be read", "error", err)
		}
		return coordination.Credentials{}, false
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size > 1<<16 {
		return coordination.Credentials{}, false
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && size > 0 {
		return coordination.Credentials{}, false
	}
	var s storedSession
	if json.Unmarshal(data, &s) != nil || s.Host != want.Host || s.Dir != want.Dir || s.Connect != want.Connect {
		return coordination.Credentials{}, false
	}
	password, err := hex.DecodeString(s.Password)
	return coordination.Credentials{ID: s.Session, Password: password}, err == nil
}

// storeSession replaces the file. It is not synced: after a power failure the session times out anyway.
func (b *Broker) storeSession(g *coordination.Generation) {
	if err := b.writeSession(g.Credentials()); err != nil {
		b.logger.Warn("Session file could not be written; a restart after a crash will wait for the session to time out", "error", err)
	}
}

func (b *Broker) writeSession(c coordination.Credentials) error {
	s, err := b.here()
	if err != nil {
		return err
	}
	s.Session, s.Password = c.ID, hex.EncodeToString(c.Password)
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp := b.sessionPath() + ".tmp"
	f, err := b.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return b.fs.Rename(tmp, b.sessionPath())
}
