package controller

import (
	"context"
	"log/slog"
	"strconv"
)

func prefix(id int32) string { return "[Controller id=" + strconv.Itoa(int(id)) + "] " }

// prefixHandler puts Kafka's prefix before each line, which is what operators' filters look for.
type prefixHandler struct {
	slog.Handler
	prefix string
}

func (h prefixHandler) Handle(ctx context.Context, r slog.Record) error {
	r2 := slog.NewRecord(r.Time, r.Level, h.prefix+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool { r2.AddAttrs(a); return true })
	return h.Handler.Handle(ctx, r2)
}

func (h prefixHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return prefixHandler{h.Handler.WithAttrs(as), h.prefix}
}

func (h prefixHandler) WithGroup(name string) slog.Handler {
	return prefixHandler{h.Handler.WithGroup(name), h.prefix}
}
