package dumplog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// txnStates are the states of a transaction, by their number in __transaction_state.
var txnStates = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

// parseTransaction makes text of a record of __transaction_state. What cannot be read ends the run
// (Kafka 3.9 TransactionLog.formatRecordKeyAndValue).
func parseTransaction(e *entry) (c text, err error) {
	key, err := e.key.get()
	if err != nil {
		return c, err
	}
	if e.key.isNull() {
		return c, errors.New("message had a missing key")
	}
	r := &messageReader{b: key}
	if version := r.int16(); r.err == nil && version != 0 {
		return text{key: fmt.Sprintf("unknown::version=%d", version), hasKey: true}, nil
	}
	id := r.string("transactionalId")
	if r.err != nil {
		return c, fmt.Errorf("transaction log key: %w", r.err)
	}
	c = text{key: "transaction_metadata::transactionalId=" + id, value: "<DELETE>", hasKey: true, hasValue: true}
	if e.value.isNull() {
		return c, nil
	}
	value, err := e.value.get()
	if err != nil {
		return c, err
	}
	c.value, err = txnText(value)
	return c, err
}

func txnText(b []byte) (string, error) {
	r := &messageReader{b: b}
	r.version = r.int16()
	if r.err == nil && r.version != 0 && r.version != 1 {
		return "", javaErrorf("Unknown version %d from the transaction log message value", r.version)
	}
	r.flexible = r.version == 1
	producerID, epoch, timeout, status := r.int64(), r.int16(), r.int32(), r.int8()
	partitions, present := readTxnPartitions(r)
	updated := r.int64()
	r.int64() // start of the transaction
	r.tags(nil)
	switch {
	case r.err != nil:
		return "", fmt.Errorf("transaction log value: %w", r.err)
	case status < 0 || int(status) >= len(txnStates):
		return "", javaErrorf("Unknown transaction state id %d from the transaction status message", status)
	case status == 0:
		partitions = txnPartitions{}
	case !present:
		return "", fmt.Errorf("transaction in state %s has no partitions", txnStates[status])
	}
	return fmt.Sprintf("producerId:%d,producerEpoch:%d,state=%s,partitions=[%s],txnLastUpdateTimestamp=%d,txnTimeoutMs=%d",
		producerID, epoch, txnStates[status], partitions.text(), updated, timeout), nil
}

// txnPartitions is the set of partitions, in the order in which Scala's would give them.
type txnPartitions struct {
	names []string
	known map[string]bool
	order scalaHash
}

// smallSet is the size up to which Scala's immutable sets are no hash sets. The elements of one are added one by one, each of which may
// grow the table; those of a larger one are put in without that (Scala 2.13.15 HashSet.addAll).
const smallSet = 4

// addAll adds partitions of a topic, as TransactionMetadata.addPartitions.
func (p *txnPartitions) addAll(topic string, partitions []int32) {
	p.order.hint(len(partitions))
	for _, partition := range partitions {
		if len(partitions) <= smallSet {
			p.order.grow()
		}
		name := topic + "-" + strconv.Itoa(int(partition))
		if p.known[name] {
			continue
		}
		if p.known == nil {
			p.known = map[string]bool{}
		}
		p.known[name] = true
		p.order.put(len(p.names), 31*(31+partition)+javaHash(topic)) // TopicPartition.hashCode
		p.names = append(p.names, name)
	}
}

func (p *txnPartitions) text() string {
	var names []string
	for _, i := range p.order.order() {
		names = append(names, p.names[i])
	}
	return strings.Join(names, ",")
}

// readTxnPartitions reads topics and their partitions; ok is false for null.
func readTxnPartitions(r *messageReader) (p txnPartitions, ok bool) {
	n, ok := r.arrayLength("transactionPartitions", true)
	for ; n > 0 && r.err == nil; n-- {
		topic, seen := r.string("topic"), map[int32]bool{}
		var partitions []int32
		m, _ := r.arrayLength("partitionIds", false)
		for ; m > 0 && r.err == nil; m-- {
			if id := r.int32(); !seen[id] {
				seen[id] = true
				partitions = append(partitions, id)
			}
		}
		r.tags(nil)
		p.addAll(topic, partitions)
	}
	return p, ok
}
