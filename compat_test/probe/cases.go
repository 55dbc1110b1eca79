package probe

import "slices"

// Groups are the golden files, in the order they run. The last ones restart the broker.
func Groups() []string {
	var gs []string
	for _, c := range Cases() {
		if !slices.Contains(gs, c.Group) {
			gs = append(gs, c.Group)
		}
	}
	return gs
}

// Cases are all cases of all groups.
func Cases() []Case {
	return slices.Concat(
		apiVersionsCases(), framingCases(), orderCases(), metadataCases(),
		produceCases(), produceVersionCases(), oldProduceCases(), sequenceCases(), initProducerIDCases(),
		fetchCases(), oldFetchCases(), fetchSessionCases(), listOffsetsCases(),
		createTopicsCases(), createPartitionsCases(), deleteTopicsCases(), deleteRecordsCases(), describeProducersCases(),
		electLeadersCases(), reassignCases(), alterConfigsCases(), logDirsCases(), groupCases(), txnCases(), securityCases(), scramCases(),
		describeClusterCases(), describeConfigsCases(), findCoordinatorCases(),
		oldSegmentCases(), restartCases(),
	)
}

// group makes the cases of one group.
func group(name string, cases ...Case) []Case {
	for i := range cases {
		cases[i].Group = name
	}
	return cases
}

func named(name string, run func(*Run)) Case { return Case{Name: name, Run: run} }
