package znode

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a session on a fresh tree with the persistent paths.
func open(t *testing.T, srv *zktest.Server) (context.Context, *coordination.Session, *zktest.Link) {
	t.Helper()
	s, l := srv.Open(t)
	if err := CreatePersistentPaths(t.Context(), s.Current()); err != nil {
		t.Fatal(err)
	}
	return t.Context(), s, l
}

func elect(t *testing.T, g *coordination.Generation, id int32) *Controllership {
	t.Helper()
	c, err := Elect(t.Context(), g, id, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustCreate(t *testing.T, g *coordination.Generation, path, data string) {
	t.Helper()
	if err := g.CreateAll(t.Context(), path, []byte(data)); err != nil {
		t.Fatal(err)
	}
}
