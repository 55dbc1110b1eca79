package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpTimeout bounds reading a request and stopping the HTTP port.
const httpTimeout = 5 * time.Second

// serveHTTP opens the HTTP port: /metrics, /healthz (the process works), /readyz (it serves clients).
func (b *Broker) serveHTTP(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen for HTTP on %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !b.isReady() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	b.httpAddr = ln.Addr()
	b.http = &http.Server{Handler: mux, ReadHeaderTimeout: httpTimeout, IdleTimeout: time.Minute}
	b.wg.Go(func() {
		if err := b.http.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			b.logger.Error("HTTP port stopped", "error", err)
		}
	})
	return nil
}

func (b *Broker) stopHTTP() {
	if b.http == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), httpTimeout)
	defer cancel()
	if err := b.http.Shutdown(ctx); err != nil {
		b.http.Close()
	}
}

func (b *Broker) isReady() bool {
	select {
	case <-b.handlers.Ready():
		return !b.stopping.Load()
	default:
		return false
	}
}
