package handlers

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/protocol"
)

// softwareName is what client software names and versions must look like (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// ApiVersions tells which APIs are served in which versions (KIP-35), versions 0 to 4.
// v1 adds the throttle time, v3 the client's software (KIP-511) and features (KIP-584), v4 features with a minimum level of 0.
// The answer has header version 0 in all versions; see protocol.AppendResponse.
func (h *Handlers) ApiVersions(_ context.Context, r *Request, q *kmsg.ApiVersionsRequest) *kmsg.ApiVersionsResponse {
	resp := q.ResponseKind().(*kmsg.ApiVersionsResponse)
	resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{}
	if r.Version >= 3 && (!softwareName.MatchString(q.ClientSoftwareName) || !softwareName.MatchString(q.ClientSoftwareVersion)) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	for i := range h.rows {
		if offered := h.rows[i].offered; offered != nil && !offered(h) {
			continue
		}
		resp.ApiKeys = append(resp.ApiKeys, apiKey(&h.rows[i]))
	}
	slices.SortFunc(resp.ApiKeys, func(a, b kmsg.ApiVersionsResponseApiKey) int { return cmp.Compare(a.ApiKey, b.ApiKey) })
	for _, name := range slices.Sorted(maps.Keys(h.SupportedFeatures)) {
		f := kmsg.NewApiVersionsResponseSupportedFeature()
		f.Name, f.MinVersion, f.MaxVersion = name, h.SupportedFeatures[name].Min, h.SupportedFeatures[name].Max
		resp.SupportedFeatures = append(resp.SupportedFeatures, f)
	}
	epoch, levels := h.FinalizedFeatures()
	resp.FinalizedFeaturesEpoch = epoch
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MaxVersionLevel, f.MinVersionLevel = name, levels[name], levels[name]
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	}
	return resp
}

func apiKey(row *Row) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = row.Key.Int16(), row.Min, row.Max
	return k
}

// unsupportedApiVersions answers a version of ApiVersions that is not known: in version 0, with the range that is. The request's
// body is not parsed, but unknown versions count as flexible, and a broken header is a broken request.
func (h *Handlers) unsupportedApiVersions(r *Request) (Answer, error) {
	if r.Version >= 3 {
		if _, err := protocol.SkipTags(r.Body); err != nil {
			return Answer{}, err
		}
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{apiKey(h.row(protocol.KeyApiVersions))}
	return Answer{Body: resp}, nil
}
