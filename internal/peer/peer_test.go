package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"gokafka/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBroker answers each accepted pipe with serve, in its own goroutine.
type fakeBroker struct {
	t     *testing.T
	serve func(n int, c net.Conn)

	mu    sync.Mutex
	dials int
	fail  int // dials to refuse first
	wg    sync.WaitGroup
}

func (f *fakeBroker) dial(context.Context, string) (net.Conn, error) {
	f.mu.Lock()
	f.dials++
	n := f.dials
	refuse := n <= f.fail
	f.mu.Unlock()
	if refuse {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	f.wg.Go(func() {
		defer b.Close()
		f.serve(n, b)
	})
	return a, nil
}

type frame struct {
	key, version int16
	corr         int32
	clientID     string
	body         []byte
}

func readFrame(c net.Conn) (frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return frame{}, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return frame{}, err
	}
	n := int(binary.BigEndian.Uint16(b[8:]))
	return frame{int16(binary.BigEndian.Uint16(b)), int16(binary.BigEndian.Uint16(b[2:])), int32(binary.BigEndian.Uint32(b[4:])),
		string(b[10 : 10+n]), b[10+n:]}, nil
}

func answer(c net.Conn, corr int32, resp kmsg.Response) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(corr))
	if resp.IsFlexible() && resp.Key() != keyApiVersions {
		b = append(b, 0)
	}
	b = resp.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	_, err := c.Write(b)
	return err
}

func echo(serve func(frame) kmsg.Response) func(int, net.Conn) {
	return func(_ int, c net.Conn) {
		for {
			f, err := readFrame(c)
			if err != nil {
				return
			}
			if answer(c, f.corr, serve(f)) != nil {
				return
			}
		}
	}
}

func updateMetadata(epoch int32) *kmsg.UpdateMetadataRequest {
	r := kmsg.NewPtrUpdateMetadataRequest()
	r.Version, r.ControllerEpoch = 8, epoch
	return r
}

func (f *fakeBroker) options() Options {
	return Options{Clock: clock.New(), ClientID: "7", Dial: f.dial}
}

func (f *fakeBroker) client(t *testing.T) *Client {
	c := NewClient(Fixed("broker:1"), f.options())
	t.Cleanup(func() { c.Close(); f.wg.Wait() })
	return c
}

func TestRequestGoesOutInItsVersionWithoutApiVersions(t *testing.T) {
	var got frame
	f := &fakeBroker{t: t, serve: echo(func(fr frame) kmsg.Response {
		got = fr
		return &kmsg.UpdateMetadataResponse{Version: 8, ErrorCode: 11}
	})}
	resp, err := f.client(t).Request(t.Context(), updateMetadata(5))
	if err != nil {
		t.Fatal(err)
	}
	if r := resp.(*kmsg.UpdateMetadataResponse); r.ErrorCode != 11 {
		t.Errorf("answer %+v", r)
	}
	if got.key != 6 || got.version != 8 || got.clientID != "7" || got.body[0] != 0 {
		t.Errorf("broker saw %+v", got)
	}
}

func TestAnswerOfAnotherRequestEndsTheConnection(t *testing.T) {
	f := &fakeBroker{t: t, serve: func(n int, c net.Conn) {
		for {
			fr, err := readFrame(c)
			if err != nil {
				return
			}
			corr := fr.corr
			if n == 1 {
				corr++
			}
			answer(c, corr, &kmsg.UpdateMetadataResponse{Version: 8})
		}
	}}
	c := f.client(t)
	if _, err := c.Request(t.Context(), updateMetadata(1)); !errors.Is(err, ErrProtocol) {
		t.Fatalf("wrong correlation id gave %v", err)
	}
	if _, err := c.Request(t.Context(), updateMetadata(1)); err != nil {
		t.Fatalf("after reconnecting: %v", err)
	}
	if f.dials != 2 {
		t.Errorf("%d connections, want 2", f.dials)
	}
}

func TestLateAnswerIsNotTakenForTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fakeBroker{t: t, serve: func(n int, c net.Conn) {
			for {
				fr, err := readFrame(c)
				if err != nil {
					return
				}
				if n == 1 {
					<-release
				}
				if answer(c, fr.corr, &kmsg.UpdateMetadataResponse{Version: 8, ErrorCode: int16(n)}) != nil {
					return
				}
			}
		}}
		c := f.client(t)
		start := time.Now()
		if _, err := c.Request(t.Context(), updateMetadata(1)); !errors.Is(err, ErrTimeout) {
			t.Fatalf("unanswered request gave %v", err)
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("timed out after %v", d)
		}
		close(release)
		resp, err := c.Request(t.Context(), updateMetadata(1))
		if err != nil || resp.(*kmsg.UpdateMetadataResponse).ErrorCode != 2 {
			t.Fatalf("second request: %+v, %v", resp, err)
		}
	})
}

func TestCancelledRequestEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBroker{t: t, serve: func(_ int, c net.Conn) { io.Copy(io.Discard, c) }}
		c := f.client(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Request(ctx, updateMetadata(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestResponseLengthIsBoundedBeforeAllocation(t *testing.T) {
	for _, size := range []uint32{0, 3, 1 << 31, 0xffffffff, 1000} {
		f := &fakeBroker{t: t, serve: func(_ int, c net.Conn) {
			readFrame(c)
			c.Write(binary.BigEndian.AppendUint32(nil, size))
		}}
		opt := f.options()
		opt.MaxResponseBytes = 999
		c := NewClient(Fixed("x"), opt)
		if _, err := c.Request(t.Context(), updateMetadata(1)); !errors.Is(err, ErrProtocol) {
			t.Errorf("length %d gave %v", size, err)
		}
		c.Close()
		f.wg.Wait()
	}
}

func TestNegotiatedLowersToTheHighestCommonVersion(t *testing.T) {
	for _, tc := range []struct {
		name     string
		max      int16
		minimum  int16
		want     int16
		refused  bool
		v0Answer bool
	}{
		{name: "same", max: 3, want: 3},
		{name: "older peer", max: 1, want: 1},
		{name: "too old", max: 1, minimum: 2, refused: true},
		{name: "peer that knows only ApiVersions v0", max: 2, want: 2, v0Answer: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got int16 = -1
			f := &fakeBroker{t: t, serve: echo(func(fr frame) kmsg.Response {
				if fr.key == 18 {
					r := kmsg.NewPtrApiVersionsResponse()
					r.Version = fr.version
					if tc.v0Answer && fr.version > 0 {
						r.Version, r.ErrorCode = 0, kerr.UnsupportedVersion.Code
					}
					r.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 56, MinVersion: 0, MaxVersion: tc.max}}
					return r
				}
				got = fr.version
				return &kmsg.AlterPartitionResponse{Version: fr.version}
			})}
			req := kmsg.NewPtrAlterPartitionRequest()
			req.Version = 3
			_, err := f.client(t).Negotiated(t.Context(), req, tc.minimum)
			if tc.refused {
				if !errors.Is(err, kerr.UnsupportedVersion) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Fatalf("sent v%d, %v; want v%d", got, err, tc.want)
			}
		})
	}
}

func TestClientFollowsAnAddressThatMoves(t *testing.T) {
	var dialled []string
	f := &fakeBroker{t: t, serve: echo(func(frame) kmsg.Response { return &kmsg.UpdateMetadataResponse{Version: 8} })}
	opt := f.options()
	opt.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		dialled = append(dialled, addr)
		return f.dial(ctx, addr)
	}
	addr := "a"
	c := NewClient(func() (string, error) { return addr, nil }, opt)
	defer func() { c.Close(); f.wg.Wait() }()
	for _, addr = range []string{"a", "a", "b", "a"} {
		if _, err := c.Request(t.Context(), updateMetadata(1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(dialled) != 3 || dialled[1] != "b" {
		t.Errorf("dialled %v", dialled)
	}
}

func TestChannelKeepsOrderAndRepeatsUntilAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []int32
		f := &fakeBroker{t: t, fail: 3, serve: func(n int, c net.Conn) {
			for i := 0; ; i++ {
				fr, err := readFrame(c)
				if err != nil {
					return
				}
				var r kmsg.UpdateMetadataRequest
				r.Version = 8
				if err := r.ReadFrom(fr.body[1:]); err != nil {
					t.Error(err)
				}
				mu.Lock()
				seen = append(seen, r.ControllerEpoch)
				mu.Unlock()
				if n == 4 && i == 1 {
					return // taken, but the answer is lost
				}
				answer(c, fr.corr, &kmsg.UpdateMetadataResponse{Version: 8})
			}
		}}
		var failures int
		ch := NewChannel(NewClient(Fixed("x"), f.options()), 10, func(kmsg.Request, error) { failures++ })
		done := make(chan int32, 3)
		start := time.Now()
		for i := range int32(3) {
			if err := ch.Send(updateMetadata(i), func(context.Context, kmsg.Response) { done <- i }); err != nil {
				t.Fatal(err)
			}
		}
		for i := range int32(3) {
			if got := <-done; got != i {
				t.Fatalf("answer of request %d, want %d", got, i)
			}
		}
		if d := time.Since(start); d != 4*RetryPause {
			t.Errorf("took %v, want 4 pauses", d)
		}
		ch.Close()
		f.wg.Wait()
		if want := []int32{0, 1, 1, 2}; len(seen) != 4 || seen[1] != want[1] || seen[2] != want[2] || seen[3] != want[3] || failures != 4 {
			t.Errorf("broker saw %v with %d failures, want %v with 4", seen, failures, want)
		}
	})
}

func TestChannelIsBoundedAndCloseDropsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBroker{t: t, serve: func(_ int, c net.Conn) { io.Copy(io.Discard, c) }} // reads, never answers
		ch := NewChannel(NewClient(Fixed("x"), f.options()), 3, nil)
		for range 3 {
			if err := ch.Send(updateMetadata(1), func(context.Context, kmsg.Response) { t.Error("answered") }); err != nil {
				t.Fatal(err)
			}
		}
		if err := ch.Send(updateMetadata(1), nil); !errors.Is(err, ErrQueueFull) {
			t.Errorf("fourth request: %v", err)
		}
		if n := len(ch.Drop()); n != 2 || ch.Len() != 1 {
			t.Errorf("dropped %d, left %d", n, ch.Len())
		}
		ch.Close()
		f.wg.Wait()
		if err := ch.Send(updateMetadata(1), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 1, 1, 2, 3, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, req := range []kmsg.Request{updateMetadata(1), &kmsg.LeaderAndISRRequest{Version: 7}, &kmsg.ApiVersionsRequest{Version: 4}, &kmsg.FetchRequest{Version: 17}} {
			if resp, err := decode(req, 1, b); err == nil && resp == nil {
				t.Fatal("neither answer nor error")
			}
		}
	})
}
