package embedded

import (
	"testing"
	"testing/synctest"
	"time"

	"gokafka/internal/clock"
	"gokafka/internal/vfs"
)

// bubble runs f with virtual time. The server is closed at its end.
func bubble(t *testing.T, fs vfs.FS, opts Options, f func(t *testing.T, s *Server)) {
	synctest.Test(t, func(t *testing.T) {
		opts.Clock = clock.New()
		s := open(t, fs, opts)
		f(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (r *raw) ping() {
	r.t.Helper()
	r.write(rawRequest(-2, opPing))
	if p := r.reply(); p.xid != -2 || p.code != codeOK {
		r.t.Fatalf("%+v", p)
	}
}

// A session ends between its timeout and one tick more after its last packet.
func TestExpiryInstant(t *testing.T) {
	for _, offset := range []time.Duration{0, time.Millisecond, 900 * time.Millisecond, 1999 * time.Millisecond} {
		bubble(t, vfs.NewMem(), Options{}, func(t *testing.T, s *Server) {
			w := memSession(t, s, 40*time.Second)
			time.Sleep(offset)
			c := memSession(t, s, 5*time.Second)
			c.wantCode("create", codeOK, opCreate, createBody("/e", nil, flagEphemeral))
			w.wantCode("watch", codeOK, opExists, watchBody("/e", true))
			start := time.Now()
			w.wantRawEvent(eventDeleted, "/e")
			if after := time.Since(start); after < 5*time.Second || after > 7*time.Second {
				t.Errorf("gone after %v", after)
			}
			c.wantEOF()
		})
	}
}

// The wall clock may jump: nobody expires, and nobody lives longer.
func TestWallClockDoesNotExpireSessions(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		bubble(t, vfs.NewMem(), Options{}, func(t *testing.T, s *Server) {
			c := memSession(t, s, 6*time.Second)
			s.clock.Move(jump)
			for range 10 {
				time.Sleep(2 * time.Second)
				c.ping()
			}
			p := c.wantCode("create", codeOK, opCreate2, createBody("/a", nil, 0))
			d := decoder{b: p.body}
			d.text()
			if st := readStat(&d); st.ctime != s.clock.NowMs() {
				t.Errorf("ctime %d, wall clock %d", st.ctime, s.clock.NowMs())
			}
			start := time.Now()
			c.nc.SetReadDeadline(time.Time{})
			c.wantEOF()
			if after := time.Since(start); after > 9*time.Second {
				t.Errorf("gone after %v", after)
			}
		})
	}
}

// A loop that wakes up late counts the delay as one tick: whoever was alive before the stall is alive after it.
func TestStalledLoopExpiresNobody(t *testing.T) {
	k := sessionClock{tick: 2 * time.Second}
	touched := k.now(1300 * time.Millisecond) // of a session with a timeout of 4 s
	k.advance(2 * time.Second)
	k.advance(4 * time.Second)
	k.advance(16 * time.Second) // stopped for 12 s, about its last ping
	if late := k.base - touched; late > 5*time.Second {
		t.Errorf("the session clock went on by %v during a stall", late)
	}
	before := k.now(17 * time.Second)
	k.advance(18 * time.Second)
	if k.base < before || k.base-before > 1500*time.Millisecond {
		t.Errorf("%v then %v", before, k.base)
	}
	// Small delays are not a stall: time must not be lost.
	k = sessionClock{tick: 2 * time.Second}
	for i := time.Duration(1); i <= 100; i++ {
		k.advance(i*2*time.Second + i%2*300*time.Millisecond)
	}
	if k.base != 200*time.Second {
		t.Errorf("%v", k.base)
	}
}

// While the disk hangs nobody can be answered, not even a client that reconnects: nobody expires.
func TestHangingDiskExpiresNobody(t *testing.T) {
	f := &faults{}
	bubble(t, vfs.NewFaulty(vfs.NewMem(), f.call), Options{}, func(t *testing.T, s *Server) {
		c, w := memSession(t, s, 4*time.Second), memSession(t, s, 4*time.Second)
		c.wantCode("create", codeOK, opCreate, createBody("/e", nil, flagEphemeral))
		w.ping()
		hang := make(chan struct{})
		f.set(func(op vfs.Op) error {
			if op.Kind == vfs.OpSync {
				<-hang
			}
			return nil
		})
		w.write(rawRequest(50, opCreate, createBody("/x", nil, 0)))
		time.Sleep(time.Minute)
		f.set(noFault)
		close(hang)
		if p := w.reply(); p.xid != 50 || p.code != codeOK {
			t.Errorf("%+v", p)
		}
		c.ping()
		w.wantCode("ephemeral", codeOK, opExists, watchBody("/e", false))
		time.Sleep(10 * time.Second) // and then they do
		c.wantEOF()
	})
}

// After a restart every session has its full timeout, however long the outage was.
func TestRestartTouchesSessions(t *testing.T) {
	fs := vfs.NewMem()
	var session int64
	var pass []byte
	bubble(t, fs, Options{}, func(t *testing.T, s *Server) {
		c := memSession(t, s, 20*time.Second)
		c.wantCode("create", codeOK, opCreate, createBody("/e", nil, flagEphemeral))
		session, pass = c.session, c.password
	})
	bubble(t, fs, Options{}, func(t *testing.T, s *Server) {
		time.Sleep(19 * time.Second)
		c := memRaw(t, s)
		c.connect(20*time.Second, session, pass)
		if c.session != session {
			t.Error("session lost")
		}
		c.wantCode("ephemeral", codeOK, opExists, watchBody("/e", false))
	})
	bubble(t, fs, Options{}, func(t *testing.T, s *Server) {
		time.Sleep(23 * time.Second)
		c := memRaw(t, s)
		c.connect(20*time.Second, session, pass)
		if c.session != 0 {
			t.Error("the session outlived its timeout")
		}
		w := memSession(t, s, 20*time.Second)
		w.wantCode("ephemeral", codeNoNode, opExists, watchBody("/e", false))
	})
}

// A timeout negotiated at a reconnect holds after a restart as well.
func TestNewTimeoutIsDurable(t *testing.T) {
	fs := vfs.NewMem()
	var session int64
	var pass []byte
	bubble(t, fs, Options{}, func(t *testing.T, s *Server) {
		c := memSession(t, s, 4*time.Second)
		again := memRaw(t, s)
		again.connect(40*time.Second, c.session, c.password)
		session, pass = c.session, c.password
	})
	bubble(t, fs, Options{}, func(t *testing.T, s *Server) {
		time.Sleep(30 * time.Second)
		c := memRaw(t, s)
		c.connect(40*time.Second, session, pass)
		if c.session != session {
			t.Error("session lost")
		}
	})
}

// Connections that never say who they are do not stay.
func TestSilentConnectionIsClosed(t *testing.T) {
	bubble(t, vfs.NewMem(), Options{}, func(t *testing.T, s *Server) {
		c := memRaw(t, s)
		start := time.Now()
		c.wantEOF()
		if after := time.Since(start); after != firstRequestTimeout {
			t.Errorf("closed after %v", after)
		}
	})
}

// Ephemeral nodes without a session are deleted before anyone can see them, as logged transactions.
func TestOrphansArePurged(t *testing.T) {
	fs := vfs.NewMem()
	st, rec, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	out := rec.machine.apply(&command{session: 77, req: &request{op: opCreate, flags: flagEphemeral, path: "/orphan", acl: openEntries()}}, 1)
	if err := st.log.append(frameRecord(nil, out.record)); err != nil {
		t.Fatal(err)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, fs, Options{})
	crashed := fs.CrashClone(vfs.CrashOptions{LoseUnsynced: true})
	memSession(t, s, longTimeout).wantCode("orphan", codeNoNode, opExists, watchBody("/orphan", false))
	st, rec, err = openStore(crashed, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	if rec.machine.tree.find("/orphan") != nil || rec.machine.zxid != 2 {
		t.Error("the purge was not logged")
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
}

// A client that has seen a later history than this directory has gets a new session, or the word that its old one is gone.
func TestFutureZxidIsExpiredNotRefused(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	c := memRaw(t, s)
	c.write(frame(connectBody(1<<40, longTimeout, 0, nil)))
	c.connected()
	if c.session == 0 {
		t.Error("no new session")
	}
	old := memRaw(t, s)
	old.write(frame(connectBody(1<<40, longTimeout, c.session, c.password)))
	old.connected()
	if old.session != 0 || old.timeout != 0 {
		t.Errorf("%+v", old)
	}
	old.wantEOF()
}
