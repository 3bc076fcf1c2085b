// An open-loop HTTP client: questions leave at a fixed rate whether or not the earlier ones are answered, and a latency counts
// from the moment at which the question was due. It prints one JSON object: each second's statuses and latencies by status,
// how many answers with status 200 were not what was expected, answers by x-tiphys-arm, and when the version that answers changed.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sort"
	"sync"
	"time"
)

type answer struct {
	due     time.Duration
	took    time.Duration
	status  int
	arm     string
	version string
	wrong   bool
	again   bool
}

func lines(path string) [][]byte {
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	var found [][]byte
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		found = append(found, append([]byte(nil), scanner.Bytes()...))
	}
	return found
}

func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(share*float64(len(sorted)-1))]
}

func main() {
	url := flag.String("url", "", "where to ask")
	key := flag.String("key", "", "API key")
	rate := flag.Float64("rate", 100, "questions a second")
	seconds := flag.Float64("seconds", 10, "how long")
	most := flag.Int("most", 4000, "most questions in flight; beyond, one counts as status 0")
	bodiesPath := flag.String("bodies", "", "questions, one a line")
	expectedPath := flag.String("expected", "", "the answers' field as numbers, one a line; empty: not compared")
	field := flag.String("field", "duration_s", "field of the answer to compare")
	flag.Parse()

	bodies := lines(*bodiesPath)
	var expected []float64
	if *expectedPath != "" {
		for _, line := range lines(*expectedPath) {
			var number float64
			if err := json.Unmarshal(line, &number); err != nil {
				panic(err)
			}
			expected = append(expected, number)
		}
	}
	transport := &http.Transport{
		MaxIdleConns: *most, MaxIdleConnsPerHost: *most, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	count := int(*rate * *seconds)
	answers := make([]answer, count)
	slots := make(chan struct{}, *most)
	var wait sync.WaitGroup
	began := time.Now()
	gap := time.Duration(float64(time.Second) / *rate)
	for i := 0; i < count; i++ {
		due := time.Duration(i) * gap
		if rest := due - time.Since(began); rest > 0 {
			time.Sleep(rest)
		}
		select {
		case slots <- struct{}{}:
		default:
			answers[i] = answer{due: due, status: 0}
			continue
		}
		wait.Add(1)
		go func(i int, due time.Duration) {
			defer wait.Done()
			defer func() { <-slots }()
			which := i % len(bodies)
			found := answer{due: due, status: -1}
			request, _ := http.NewRequest("POST", *url, bytes.NewReader(bodies[which]))
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+*key)
			reply, err := client.Do(request)
			if err == nil {
				content, err := io.ReadAll(reply.Body)
				reply.Body.Close()
				if err == nil {
					found.status = reply.StatusCode
					found.arm = reply.Header.Get("x-tiphys-arm")
					found.version = reply.Header.Get("x-tiphys-version")
					found.again = reply.Header.Get("retry-after") != ""
					if expected != nil && reply.StatusCode == 200 && found.arm != "status_quo" {
						var fields map[string]any
						if json.Unmarshal(content, &fields) != nil {
							found.wrong = true
						} else if number, ok := fields[*field].(float64); !ok || math.Abs(number-expected[which]) > 0.051 {
							found.wrong = true
						}
					}
				}
			}
			found.took = time.Since(began) - due
			answers[i] = found
		}(i, due)
	}
	wait.Wait()

	type second struct {
		At       int             `json:"at"`
		Statuses map[int]int     `json:"statuses"`
		Arms     map[string]int  `json:"arms"`
		P99      map[int]float64 `json:"p99"`
	}
	all := map[int][]float64{}
	arms := map[string]int{}
	wrong, silent := 0, 0
	bySecond := map[int]map[int][]float64{}
	armsBySecond := map[int]map[string]int{}
	for _, each := range answers {
		took := float64(each.took.Microseconds()) / 1000
		at := int(each.due.Seconds())
		all[each.status] = append(all[each.status], took)
		if bySecond[at] == nil {
			bySecond[at], armsBySecond[at] = map[int][]float64{}, map[string]int{}
		}
		bySecond[at][each.status] = append(bySecond[at][each.status], took)
		if each.arm != "" {
			arms[each.arm]++
			armsBySecond[at][each.arm]++
		}
		if each.wrong {
			wrong++
		}
		if (each.status == 429 || each.status == 503) && !each.again {
			silent++
		}
	}
	type change struct {
		At      float64 `json:"at"`
		Version string  `json:"version"`
	}
	var changes []change
	sort.Slice(answers, func(i, j int) bool { return answers[i].due+answers[i].took < answers[j].due+answers[j].took })
	for _, each := range answers {
		if each.status == 200 && (len(changes) == 0 || changes[len(changes)-1].Version != each.version) {
			changes = append(changes, change{(each.due + each.took).Seconds(), each.version})
		}
	}
	var seconds_ []second
	for at := 0; at <= int(*seconds); at++ {
		row := second{At: at, Statuses: map[int]int{}, Arms: armsBySecond[at], P99: map[int]float64{}}
		for status, took := range bySecond[at] {
			sort.Float64s(took)
			row.Statuses[status] = len(took)
			row.P99[status] = percentile(took, 0.99)
		}
		seconds_ = append(seconds_, row)
	}
	type total struct {
		Count int     `json:"count"`
		P50   float64 `json:"p50"`
		P95   float64 `json:"p95"`
		P99   float64 `json:"p99"`
	}
	totals := map[int]total{}
	for status, took := range all {
		sort.Float64s(took)
		totals[status] = total{len(took), percentile(took, 0.5), percentile(took, 0.95), percentile(took, 0.99)}
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"statuses": totals, "arms": arms, "changes": changes, "wrong": wrong, "without_retry_after": silent,
		"seconds": seconds_, "began": float64(began.UnixMicro()) / 1e6,
	})
}
