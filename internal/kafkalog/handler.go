// Package kafkalog writes slog records as lines in the form of Kafka's own log, which scripts and people know:
//
//	[2026-11-25 22:00:00,123] INFO [KafkaServer id=0] started (kafka.server.KafkaServer)
//
// A prefix such as "[KafkaServer id=0] " and a logger name come from the attributes "prefix" and "logger" of With; other attributes
// follow the message as key=value.
package kafkalog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"gokafka/internal/clock"
)

// The attributes that shape a line rather than appear in it.
const (
	PrefixKey = "prefix"
	LoggerKey = "logger"
)

// Handler is a slog.Handler. Use New.
type Handler struct {
	mu     *sync.Mutex // serialises lines
	w      io.Writer
	clk    *clock.Clock
	level  slog.Leveler
	prefix string
	logger string
	attrs  string // rendered, each with a leading space
	group  string // prefix of attribute names, with a dot
}

// New returns a handler that writes records of at least level to w, stamped by the broker's wall clock.
func New(w io.Writer, clk *clock.Clock, level slog.Leveler) *Handler {
	return &Handler{mu: &sync.Mutex{}, w: w, clk: clk, level: level}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		switch a.Key {
		case PrefixKey:
			c.prefix = a.Value.String()
		case LoggerKey:
			c.logger = a.Value.String()
		default:
			appendAttr(&b, h.group, a)
		}
	}
	c.attrs = b.String()
	return &c
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteByte('[')
	b.WriteString(h.clk.Now().Local().Format("2006-01-02 15:04:05,000"))
	b.WriteString("] ")
	b.WriteString(level(r.Level))
	b.WriteByte(' ')
	b.WriteString(h.prefix)
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	logger := h.logger
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == LoggerKey {
			logger = a.Value.String()
			return true
		}
		appendAttr(&b, h.group, a)
		return true
	})
	if logger != "" {
		b.WriteString(" (" + logger + ")")
	}
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, b.String())
	return err
}

func level(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARN"
	case l >= slog.LevelInfo:
		return "INFO"
	default:
		return "DEBUG"
	}
}

func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, g := range v.Group() {
			appendAttr(b, group, g)
		}
		return
	}
	var s string
	switch v.Kind() {
	case slog.KindTime:
		s = v.Time().UTC().Format(time.RFC3339Nano)
	case slog.KindAny:
		s = fmt.Sprint(v.Any())
	default:
		s = v.String()
	}
	if s == "" || strings.ContainsAny(s, " \"=\n\r\t") {
		s = strconv.Quote(s)
	}
	b.WriteByte(' ')
	b.WriteString(group)
	b.WriteString(a.Key)
	b.WriteByte('=')
	b.WriteString(s)
}
