package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// endpointBrokers is the endpoint type of DescribeCluster that a broker serves (KIP-919).
const endpointBrokers int8 = 1

// DescribeCluster lists the brokers and names the controller (KIP-700), versions 0 and 1. v1 adds the endpoint type (KIP-919).
func (h *Handlers) DescribeCluster(ctx context.Context, r *Request, q *kmsg.DescribeClusterRequest) *kmsg.DescribeClusterResponse {
	resp := q.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterAuthorizedOperations = noOperations
	resp.ControllerID = -1
	if r.Version >= 1 {
		resp.EndpointType = endpointBrokers
		if q.EndpointType != endpointBrokers {
			code := kerr.UnsupportedEndpointType
			if q.EndpointType == 2 {
				code = kerr.MismatchedEndpointType
			}
			resp.ErrorCode = code.Code
			msg := "Unsupported endpoint type " + itoa(int(q.EndpointType))
			if q.EndpointType == 2 {
				msg = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
			}
			resp.ErrorMessage = &msg
			return resp
		}
	}
	if q.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = 0
		if h.mayCluster(ctx, r, security.Describe) {
			resp.ClusterAuthorizedOperations = h.operations(ctx, r, security.Cluster, security.ClusterName)
		}
	}
	im := h.Cluster.Image()
	resp.ClusterID, resp.ControllerID = h.ClusterID, im.ControllerID
	for _, id := range im.BrokerIDs() {
		e, ok := endpoint(im, id, r.Conn.Listener)
		if !ok {
			continue
		}
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port = id, e.Host, e.Port
		b.Rack = optional(im.Broker(id).Rack)
		resp.Brokers = append(resp.Brokers, b)
	}
	return resp
}

// optional is nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
