package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A parsed value is nil (null), bool, int16, int32, int64, float64, string (STRING, CLASS, PASSWORD) or []string.

// commaWithSpace is ConfigDef.COMMA_WITH_WHITESPACE; \s of Java has a vertical tab, that of Go has not.
var commaWithSpace = regexp.MustCompile(`[ \t\n\v\f\r]*,[ \t\n\v\f\r]*`)

// hostPort is Utils.HOST_PORT_PATTERN of 3.9.1, matched in full: anything may stand before the host.
var hostPort = regexp.MustCompile(`^.*?\[?([0-9a-zA-Z\-%._:]*)\]?:([0-9]+)$`)

// javaDouble is what Double.parseDouble reads.
var javaDouble = regexp.MustCompile(`^[+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?|` +
	`0[xX]([0-9a-fA-F]+\.?|[0-9a-fA-F]*\.[0-9a-fA-F]+)[pP][+-]?[0-9]+[fFdD]?)$`)

// Parse reads raw as Kafka 3.9 ConfigDef.parseType does and checks the result.
func (k *Key) Parse(raw string) (any, error) {
	v, err := parseType(k.Name, raw, k.Type)
	if err != nil {
		return nil, err
	}
	if k.Valid != nil {
		if err := k.Valid.Check(k.Name, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// defaultValue is the parsed default; a test parses all of them.
func (k *Key) defaultValue() any {
	if k.Unset {
		return nil
	}
	v, err := parseType(k.Name, k.Default, k.Type)
	if err != nil {
		panic("config table: " + err.Error()) // a broken row, not an input
	}
	return v
}

// parseType is ConfigDef.parseType. A class is kept by its name, for there is none to load.
func parseType(name, raw string, t Type) (any, error) {
	s := javaTrim(raw)
	switch t {
	case TypeBoolean:
		switch {
		case strings.EqualFold(s, "true"):
			return true, nil
		case strings.EqualFold(s, "false"):
			return false, nil
		}
		return nil, invalid(name, raw, "Expected value to be either true or false")
	case TypeShort:
		if n, err := parseInt(s, 16); err == nil {
			return int16(n), nil
		}
	case TypeInt:
		if n, err := parseInt(s, 32); err == nil {
			return int32(n), nil
		}
	case TypeLong:
		if n, err := parseInt(s, 64); err == nil {
			return n, nil
		}
	case TypeDouble:
		if f, ok := parseDouble(s); ok {
			return f, nil
		}
	case TypeList:
		if s == "" {
			return []string{}, nil
		}
		return commaWithSpace.Split(s, -1), nil
	default:
		return s, nil
	}
	return nil, invalid(name, raw, "Not a number of type "+t.String())
}

// parseInt is Integer.parseInt: decimal, with at most one sign.
func parseInt(s string, bits int) (int64, error) {
	return strconv.ParseInt(s, 10, bits)
}

// parseDouble is Double.parseDouble: too large is infinite, too small is zero, a suffix f or d is dropped.
func parseDouble(s string) (float64, bool) {
	if !javaDouble.MatchString(s) {
		return 0, false
	}
	if !strings.HasSuffix(s, "y") && !strings.HasSuffix(s, "N") {
		s = strings.TrimRight(s, "fFdD") // in hexadecimal an exponent stands before it
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// javaTrim is String.trim: it cuts every char up to the space from both ends.
func javaTrim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

// Format prints a parsed value as ConfigDef.convertToString does; ok is false for null.
func Format(v any) (s string, ok bool) {
	switch x := v.(type) {
	case bool:
		return strconv.FormatBool(x), true
	case int16:
		return strconv.Itoa(int(x)), true
	case int32:
		return strconv.Itoa(int(x)), true
	case int64:
		return strconv.FormatInt(x, 10), true
	case float64:
		return formatDouble(x), true
	case string:
		return x, true
	case []string:
		return strings.Join(x, ","), true
	}
	return "", false
}

// formatDouble is Double.toString: plain from 10^-3 to 10^7, else with an exponent, and always a digit after the point.
func formatDouble(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0 || abs >= 1e-3 && abs < 1e7:
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	s := strconv.FormatFloat(f, 'E', -1, 64)
	if !strings.Contains(s, ".") {
		s = strconv.FormatFloat(f, 'E', 1, 64) // Java gives two digits, also where one would do
	}
	mantissa, exponent, _ := strings.Cut(s, "E")
	n, _ := strconv.Atoi(exponent) // FormatFloat wrote it
	return mantissa + "E" + strconv.Itoa(n)
}

// printed is v as Kafka's error texts show it: Java prints a list in brackets.
func printed(v any) string {
	if list, ok := v.([]string); ok {
		return "[" + strings.Join(list, ", ") + "]"
	}
	if s, ok := Format(v); ok {
		return s
	}
	return "null"
}
