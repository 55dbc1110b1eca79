package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gokafka/clusterview"
)

// httpTimeout bounds reading a request and stopping the HTTP port; httpWriteTimeout the taking of an answer.
const (
	httpTimeout      = 5 * time.Second
	httpWriteTimeout = 30 * time.Second
)

// maxScrapes is how many scrapes are served at once; further ones are refused (503).
const maxScrapes = 4

// serveHTTP opens the HTTP port: /metrics, /healthz (the process works), /readyz (it serves clients), /api. Nothing there changes anything.
func (b *Broker) serveHTTP(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen for HTTP on %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !b.isReady() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET "+clusterview.ControllerPath, b.serveControllerState)
	mux.HandleFunc("GET "+clusterview.JournalPath, b.serveJournal)
	mux.HandleFunc("GET "+clusterview.ClusterPath, b.serveCluster)
	b.httpAddr = ln.Addr()
	b.http = &http.Server{
		Handler: ownNames(ln.Addr(), mux), ReadHeaderTimeout: httpTimeout, ReadTimeout: httpTimeout, WriteTimeout: httpWriteTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	b.wg.Go(func() {
		if err := b.http.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			b.logger.Error("HTTP port stopped", "error", err)
		}
	})
	return nil
}

// ownNames refuses, on a port that only this machine reaches, requests for other names than this machine's: a page from elsewhere, whose name was
// made to mean 127.0.0.1, could else read the answers in a browser here. A request without a name comes from no browser.
func ownNames(addr net.Addr, h http.Handler) http.Handler {
	if a, ok := addr.(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "" && !isLoopbackName(r.Host) {
			http.Error(w, "this port serves requests for localhost only", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func isLoopbackName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]") // no port
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
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
