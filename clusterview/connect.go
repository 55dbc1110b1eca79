package clusterview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/show"
)

// Options say which cluster to ask.
type Options struct {
	// Bootstrap are the addresses of brokers, host:port. The first that answers is asked for everything.
	Bootstrap []string
	// Timeout bounds the whole question.
	Timeout time.Duration
	// Note is told, in one line, of what could not be asked and does not matter much; nil = nobody.
	Note func(string)
}

// clientID is how brokers see the command in their logs.
const clientID = "gokafka-cluster"

// link is the way to one broker. Nothing is tried twice: a person who asks can ask again.
type link struct {
	client *kgo.Client
	addr   string
}

func dial(addr string, timeout time.Duration) (*link, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID(clientID), kgo.DialTimeout(timeout), kgo.RequestRetries(0))
	if err != nil {
		return nil, err
	}
	return &link{client: cl, addr: addr}, nil
}

func (l *link) close() { l.client.Close() }

func (l *link) request(ctx context.Context, q kmsg.Request) (kmsg.Response, error) {
	return l.client.SeedBrokers()[0].Request(ctx, q)
}

// ask sends q and gives the answer in its type.
func ask[R kmsg.Response](ctx context.Context, l *link, q kmsg.Request) (R, error) {
	var none R
	resp, err := l.request(ctx, q)
	if err != nil {
		return none, fmt.Errorf("%s to %s: %w", kmsg.NameForKey(q.Key()), l.addr, err)
	}
	r, ok := resp.(R)
	if !ok {
		return none, fmt.Errorf("%s to %s: the answer is a %T", kmsg.NameForKey(q.Key()), l.addr, resp)
	}
	return r, nil
}

// begin opens the way to the first broker that answers, with its picture of the cluster. Each address has its share of the
// time, so that one that swallows packets does not take that of the others.
func (o *Options) begin(ctx context.Context) (*link, *kmsg.MetadataResponse, error) {
	if len(o.Bootstrap) == 0 {
		return nil, nil, errors.New("no address of a broker is given")
	}
	share := o.Timeout / time.Duration(len(o.Bootstrap))
	var failed []string
	for _, addr := range o.Bootstrap {
		l, md, err := o.try(ctx, addr, share)
		if err == nil {
			return l, md, nil
		}
		failed = append(failed, addr+": "+reason(err, share))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, errors.New("no broker answers: " + strings.Join(failed, "; "))
}

func (o *Options) try(ctx context.Context, addr string, share time.Duration) (*link, *kmsg.MetadataResponse, error) {
	l, err := dial(addr, share)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	q := kmsg.NewPtrMetadataRequest() // no topics = all of them
	q.AllowAutoTopicCreation = false
	resp, err := l.request(ctx, q)
	if err != nil {
		l.close()
		return nil, nil, err
	}
	md, ok := resp.(*kmsg.MetadataResponse)
	if !ok {
		l.close()
		return nil, nil, fmt.Errorf("the answer is a %T", resp)
	}
	return l, md, nil
}

// reason is err in one line, for a person.
func reason(err error, waited time.Duration) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", waited)
	}
	return show.Line(err.Error())
}

func (o *Options) note(format string, args ...any) {
	if o.Note != nil {
		o.Note(show.Line(fmt.Sprintf(format, args...)))
	}
}
