package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SASLHandshake begins an authentication (KIP-43), versions 0 and 1. The listeners here have none: ILLEGAL_SASL_STATE, as from Apache on a PLAINTEXT listener.
// Source: Kafka 3.9 KafkaApis.handleSaslHandshakeRequest.
func (h *Handlers) SASLHandshake(_ context.Context, _ *Request, q *kmsg.SASLHandshakeRequest) *kmsg.SASLHandshakeResponse {
	resp := q.ResponseKind().(*kmsg.SASLHandshakeResponse)
	resp.ErrorCode = kerr.IllegalSaslState.Code
	return resp
}

// SASLAuthenticate carries an authentication (KIP-152), versions 0 to 2; see SASLHandshake.
func (h *Handlers) SASLAuthenticate(_ context.Context, _ *Request, q *kmsg.SASLAuthenticateRequest) *kmsg.SASLAuthenticateResponse {
	resp := q.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	resp.ErrorCode, resp.SASLAuthBytes = kerr.IllegalSaslState.Code, []byte{}
	text := "SaslAuthenticate request received after successful authentication"
	resp.ErrorMessage = &text
	return resp
}
