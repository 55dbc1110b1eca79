package broker

import (
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// scrape gives the samples of /metrics as they are written there, and the names of their families.
func scrape(t *testing.T, b *Broker) (samples map[string]string, families map[string]string) {
	t.Helper()
	status, body := get(t, b, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, body)
	}
	samples, families = map[string]string{}, map[string]string{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if f := strings.Fields(line); len(f) == 4 && f[0] == "#" && f[1] == "TYPE" {
			families[f[2]] = f[3]
		}
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			samples[line[:i]] = line[i+1:]
		}
	}
	return samples, families
}

func get(t *testing.T, b *Broker, path string) (int, string) {
	t.Helper()
	cl := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := cl.Get("http://" + b.HTTPAddr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// mbean is an MBean's domain, type, name and further keys; the values of these are left out.
type mbean struct{ domain, kind, name, labels string }

var mbeanForm = regexp.MustCompile(`^(kafka\.[a-z]+):type=(\w+),name=([\w-]+)((?:,[\w-]+=[^,]*)*)$`)

func parseMBean(t *testing.T, s string) mbean {
	t.Helper()
	m := mbeanForm.FindStringSubmatch(s)
	if m == nil {
		t.Fatalf("not an MBean: %q", s)
	}
	labels := regexp.MustCompile(`=[^,]*`).ReplaceAllString(m[4], "")
	return mbean{m[1], m[2], m[3], strings.Trim(labels, ",")}
}

// exported is the name that the JMX exporter's usual rules make of it.
func (m mbean) exported() string {
	name, ok := strings.CutSuffix(m.name, "PerSec")
	if ok {
		name += "_total"
	}
	return strings.ToLower(strings.ReplaceAll(m.domain, ".", "_") + "_" + m.kind + "_" + name)
}

// documented reads docs/metrics.md: the metrics with their MBeans (nil: none), and the MBeans that are said not to be there.
func documented(t *testing.T) (metrics map[string]*mbean, absent []mbean) {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics = map[string]*mbean{}
	quoted := regexp.MustCompile("`([^`]+)`")
	section := ""
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "## ") {
			section = strings.TrimSpace(line[3:])
		}
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(line, "|")
		words := quoted.FindAllStringSubmatch(cells[1], -1)
		first := words[0][1]
		switch {
		case section == "Not there":
			m := parseMBean(t, first)
			absent = append(absent, m)
			for _, w := range words[1:] {
				m.name = w[1]
				absent = append(absent, m)
			}
		case strings.HasPrefix(first, "kafka."):
			m := parseMBean(t, first)
			name := quoted.FindStringSubmatch(cells[2])[1]
			if name != m.exported() {
				t.Errorf("%s is documented as %s, the exporter makes %s of it", first, name, m.exported())
			}
			metrics[name] = &m
		default:
			metrics[first] = nil
		}
	}
	return metrics, absent
}

// apacheMBeans are those that a broker of Apache Kafka 3.9.1 was seen to have.
func apacheMBeans(t *testing.T) map[mbean]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/mbeans-3.9.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[mbean]bool{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line[0] != '#' {
			out[parseMBean(t, line)] = true
		}
	}
	return out
}

// The page lists what is scraped, no less and no more; each of Apache's names is one that Apache has, with its labels; and each that Apache has is
// there or said not to be.
func TestMetricsPage(t *testing.T) {
	b := startBroker(t, t.TempDir(), nil)
	produce(t, client(t, b, kgo.MetadataMinAge(50*time.Millisecond)), "measured", 0, 10)
	samples, families := scrape(t, b)
	metrics, absent := documented(t)
	apache := apacheMBeans(t)
	for name := range families {
		if _, ok := metrics[name]; !ok && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is not on the page", name)
		}
	}
	for name, m := range metrics {
		if families[name] == "" {
			t.Errorf("%s is on the page and not there", name)
		}
		if m == nil {
			continue
		}
		if !apache[*m] {
			t.Errorf("Apache has no %+v", *m)
		}
		delete(apache, *m)
		want := m.labels
		if want == "broker-id" {
			want = "broker_id" // a hyphen is no letter of a label
		}
		if got := labelsOf(samples, name); got != want {
			t.Errorf("%s has the labels %q, Apache's %q", name, got, want)
		}
	}
	for _, a := range absent {
		for m := range apache {
			if m.domain == a.domain && m.kind == a.kind && m.name == a.name {
				delete(apache, m)
			}
		}
	}
	for m := range apache {
		t.Errorf("the page does not speak of %+v", m)
	}
}

// labelsOf are the keys of a family's labels, in Apache's order where that matters.
func labelsOf(samples map[string]string, name string) string {
	for s := range samples {
		family, labels, _ := strings.Cut(s, "{")
		if strings.TrimSuffix(strings.TrimSuffix(family, "_sum"), "_count") != name && family != name {
			continue
		}
		keys := regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(labels, -1)
		var out []string
		for _, k := range keys {
			out = append(out, k[1])
		}
		if slices.Equal(out, []string{"partition", "topic"}) { // sorted there
			return "topic,partition"
		}
		return strings.Join(out, ",")
	}
	return ""
}

// What is scraped is what happened.
func TestMetricsTell(t *testing.T) {
	b := startBroker(t, t.TempDir(), map[string]string{"num.partitions": "3"})
	produce(t, client(t, b, kgo.MetadataMinAge(50*time.Millisecond)), "measured", 0, 100)
	samples, _ := scrape(t, b)
	for name, want := range map[string]string{
		"kafka_server_kafkaserver_brokerstate":                                             "3",
		"kafka_server_replicamanager_partitioncount":                                       "3",
		"kafka_server_replicamanager_leadercount":                                          "3",
		"kafka_server_replicamanager_atminisrpartitioncount":                               "3",
		"kafka_server_replicamanager_underminisrpartitioncount":                            "0",
		"kafka_server_replicamanager_underreplicatedpartitions":                            "0",
		"kafka_server_sessionexpirelistener_zookeeperexpires_total":                        "0",
		"kafka_controller_kafkacontroller_activecontrollercount":                           "1",
		"kafka_controller_kafkacontroller_activebrokercount":                               "1",
		"kafka_controller_kafkacontroller_globaltopiccount":                                "1",
		"kafka_controller_kafkacontroller_globalpartitioncount":                            "3",
		"kafka_controller_controllerstats_topicchangerateandtimems_count":                  "1",
		"kafka_controller_controllerstats_leaderandisrresponsereceivedrateandtimems_count": "1",
		"kafka_log_logmanager_offlinelogdirectorycount":                                    "0",
		"gokafka_controller_elections_total":                                               "1",
	} {
		if samples[name] != want {
			t.Errorf("%s is %s, want %s", name, samples[name], want)
		}
	}
	ends, sizes := 0, 0
	for s, v := range samples {
		if strings.HasPrefix(s, `kafka_log_log_logendoffset{`) {
			n := 0
			for _, d := range v {
				n = n*10 + int(d-'0')
			}
			ends += n
		}
		if strings.HasPrefix(s, `kafka_log_log_size{`) && v != "0" {
			sizes++
		}
	}
	if ends != 100 || sizes == 0 {
		t.Errorf("log ends sum up to %d, %d partitions have a size; %v", ends, sizes, slices.Sorted(maps.Keys(samples)))
	}
}
