package coordination_test

import (
	"testing"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
)

// A process that was killed leaves its session behind. Who has its credentials ends it at once, with its ephemeral nodes; who has not does not.
func TestEndSessionTakesOverFromADeadProcess(t *testing.T) {
	srv := zktest.Start(t)
	s, l := srv.Open(t)
	var opts coordination.Options
	other, _ := srv.Open(t, func(o *coordination.Options) { opts = *o })
	ctx := t.Context()
	dead := s.Current()
	if _, err := dead.Create(ctx, "/e", nil, coordination.Ephemeral); err != nil {
		t.Fatal(err)
	}
	l.Cut() // as a killed process: nothing is sent any more
	creds := dead.Credentials()
	if creds.ID != dead.ID() {
		t.Fatalf("credentials of session %x, not of %x", creds.ID, dead.ID())
	}
	wrong := dead.Credentials()
	wrong.Password[3] ^= 1
	if ended, err := coordination.EndSession(ctx, opts, wrong); ended || err != nil {
		t.Errorf("with a wrong password: %v %v", ended, err)
	}
	if stat, err := other.Current().Exists(ctx, "/e"); err != nil || stat == nil {
		t.Fatalf("a wrong password ended the session: %v %v", stat, err)
	}
	if ended, err := coordination.EndSession(ctx, opts, creds); !ended || err != nil {
		t.Fatalf("%v %v", ended, err)
	}
	if stat, err := other.Current().Exists(ctx, "/e"); err != nil || stat != nil {
		t.Errorf("the ephemeral node is still there: %v %v", stat, err)
	}
	if ended, err := coordination.EndSession(ctx, opts, creds); ended || err != nil {
		t.Errorf("a session that has ended: %v %v", ended, err)
	}
	if _, err := coordination.EndSession(ctx, opts, coordination.Credentials{ID: 1}); err == nil {
		t.Error("no password, no error")
	}
}
