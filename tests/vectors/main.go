// Command vectors makes golden vectors of Argo's expressions with the Go libraries that Argo 4.1.2 itself uses.
//
// Each file has one JSON object a line. The first line says how the file was made and holds the environments by name;
// every other line is one vector: the input, the name of its environment, and what came out: `out` is the JSON form
// (what `{{=...}}` inserts), `text` the %v form (what `valueFrom.expression` gives) where it is not the same; or
// `error`, a short text.
//
//	go run . -seed 1 -to .
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type vector struct {
	In     string   `json:"in"`
	Env    string   `json:"env,omitempty"`
	Strict []string `json:"strict,omitempty"`
	Out    *string  `json:"out,omitempty"`
	Text   *string  `json:"text,omitempty"`
	Error  string   `json:"error,omitempty"`
}

type header struct {
	Area string                     `json:"area"`
	Seed int64                      `json:"seed"`
	Envs map[string]json.RawMessage `json:"envs,omitempty"`
}

func main() {
	seed := flag.Int64("seed", 1, "seed of the property-made vectors")
	to := flag.String("to", ".", "folder for the files")
	flag.Parse()
	time.Local = time.UTC // as in Argo's image
	for _, area := range []struct {
		name string
		make func(*rand.Rand) []vector
	}{{"expr", exprVectors}, {"sprig", sprigVectors}, {"when", whenVectors}, {"template", templateVectors}, {"cron", cronVectors}} {
		found := unique(area.make(rand.New(rand.NewSource(*seed))))
		if err := write(filepath.Join(*to, area.name+".jsonl"), header{area.name, *seed, envsOf(found)}, found); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%s: %d vectors\n", area.name, len(found))
	}
}

func unique(all []vector) []vector {
	seen := map[string]bool{}
	var kept []vector
	for _, one := range all {
		key := one.Env + "\x00" + one.In + "\x00" + strings.Join(one.Strict, ",")
		if !seen[key] {
			seen[key] = true
			kept = append(kept, one)
		}
	}
	return kept
}

func envsOf(all []vector) map[string]json.RawMessage {
	found := map[string]json.RawMessage{}
	for _, one := range all {
		if text, ok := environments[one.Env]; ok {
			found[one.Env] = json.RawMessage(text)
		}
	}
	return found
}

func write(path string, first header, all []vector) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(first); err != nil {
		return err
	}
	for _, one := range all {
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// short keeps the first line of an error, without what differs from run to run.
func short(err error) string {
	line, _, _ := bufio.NewReader(strings.NewReader(err.Error())).ReadLine()
	if len(line) > 60 {
		line = line[:60]
	}
	return strings.ToValidUTF8(string(line), "?")
}
