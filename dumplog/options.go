package dumplog

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Defaults of the options with numbers.
const (
	DefaultMaxMessageSize = 5 << 20
	// NoMaxBytes dumps whole files. It is a value of its own: with any other, even a larger one than the file, bytes behind the
	// last batch are not reported.
	NoMaxBytes = math.MaxInt32
)

// Decoder says how keys and values of records are turned into text.
type Decoder string

// The decoders that are served. String, Integer and Long are for keys or values, by the names of Apache's classes; Offsets and
// Transactions are for whole records of __consumer_offsets and __transaction_state.
const (
	StringDecoder       Decoder = "org.apache.kafka.tools.api.StringDecoder"
	IntegerDecoder      Decoder = "org.apache.kafka.tools.api.IntegerDecoder"
	LongDecoder         Decoder = "org.apache.kafka.tools.api.LongDecoder"
	OffsetsDecoder      Decoder = "offsets"
	TransactionsDecoder Decoder = "transactions"
)

// Options are the options of the tool, by their names there.
type Options struct {
	Files              []string // --files, split at the commas
	PrintDataLog       bool     // --print-data-log
	DeepIteration      bool     // --deep-iteration
	SkipRecordMetadata bool     // --skip-record-metadata
	VerifyIndexOnly    bool     // --verify-index-only
	IndexSanityCheck   bool     // --index-sanity-check
	MaxMessageSize     int32    // --max-message-size: how far behind an index entry's position its batch may end
	MaxBytes           int32    // --max-bytes: of a segment
	KeyDecoder         string   // --key-decoder-class; empty for strings, without printing data for it
	ValueDecoder       string   // --value-decoder-class
	Records            Decoder  // OffsetsDecoder, TransactionsDecoder, or empty for KeyDecoder and ValueDecoder
}

func (o *Options) printsData() bool {
	return o.PrintDataLog || o.Records != "" || o.KeyDecoder != "" || o.ValueDecoder != ""
}

// ErrNoClasses is returned for a decoder class that is none of Apache's own for strings and numbers.
var ErrNoClasses = javaErrorf("Java classes cannot be loaded")

// deprecatedDecoders are the names before Kafka 3.8, which the tool tells about whenever it makes one.
var deprecatedDecoders = [...]struct {
	old string
	now Decoder
}{
	{"kafka.serializer.StringDecoder", StringDecoder},
	{"kafka.serializer.LongDecoder", LongDecoder},
	{"kafka.serializer.IntegerDecoder", IntegerDecoder},
}

// classDecoder finds the decoder of a class name. notice is what the tool prints about a deprecated one.
func classDecoder(class string) (d Decoder, notice string, err error) {
	for _, old := range deprecatedDecoders {
		if class == old.old {
			return old.now, fmt.Sprintf("%s is deprecated. Please use %s instead", old.old, old.now), nil
		}
	}
	switch d = Decoder(class); d {
	case "":
		return StringDecoder, "", nil
	case StringDecoder, IntegerDecoder, LongDecoder:
		return d, "", nil
	}
	return "", "", fmt.Errorf("decoder class %s: %w; only %s, %s and %s are served", class, ErrNoClasses, StringDecoder, IntegerDecoder, LongDecoder)
}

// check refuses what cannot be served before anything is printed.
func (o *Options) check() error {
	if len(o.Files) == 0 {
		return errors.New(`missing required argument "[files]"`)
	}
	switch o.Records {
	case "", OffsetsDecoder, TransactionsDecoder:
	default:
		return fmt.Errorf("record decoder %q is not served", o.Records)
	}
	for _, class := range []string{o.KeyDecoder, o.ValueDecoder} {
		if _, _, err := classDecoder(class); err != nil {
			return err
		}
	}
	return nil
}

// SplitFiles splits the argument of --files at the commas as Java's String.split does: empty names at the end go.
func SplitFiles(list string) []string {
	files := strings.Split(list, ",")
	for len(files) > 1 && files[len(files)-1] == "" {
		files = files[:len(files)-1]
	}
	return files
}
