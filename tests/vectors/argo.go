package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/Knetic/govaluate"
	"github.com/Masterminds/sprig/v3"
	"github.com/doublerebel/bellows"
	"github.com/evilmonkeyinc/jsonpath"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/parser"
	"github.com/valyala/fasttemplate"
)

// The rules by which Argo 4.1.2 calls its libraries, said again: its own module can't be fetched by the Go command.

var sprigFunctions = func() map[string]any {
	all := sprig.GenericFuncMap()
	delete(all, "env")
	delete(all, "expandenv")
	return all
}()

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// scope nests the dotted names of `flat` (a name that is the prefix of another one gives way) and adds the functions.
func scope(flat map[string]any) map[string]any {
	names := make([]string, 0, len(flat))
	for name := range flat {
		names = append(names, name)
	}
	sort.Strings(names)
	kept := map[string]any{}
	for index, name := range names {
		if index+1 == len(names) || !strings.HasPrefix(names[index+1], name+".") {
			kept[name] = flat[name]
		}
	}
	nested := bellows.Expand(kept)
	nested["asInt"] = builtin.Int
	nested["asFloat"] = builtin.Float
	nested["sprig"] = sprigFunctions
	nested["toJson"] = func(value any) string { return string(must(json.Marshal(value))) }
	nested["jsonpath"] = func(document string, path string) any {
		var parsed any
		if err := json.Unmarshal([]byte(document), &parsed); err != nil {
			panic(err)
		}
		return must(jsonpath.Query(path, parsed))
	}
	return nested
}

func evaluate(text string, names map[string]any) (result any, err error) {
	program, err := expr.Compile(text, expr.Env(names))
	if err != nil {
		return nil, err
	}
	return expr.Run(program, names)
}

// shouldExecute is the rule for `when`: bare words are texts.
func shouldExecute(when string) (result bool, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("panic: %v", problem)
		}
	}()
	if when == "" {
		return true, nil
	}
	first, err := govaluate.NewEvaluableExpression(when)
	if err != nil {
		return false, err
	}
	tokens := first.Tokens()
	for index := range tokens {
		if tokens[index].Kind == govaluate.VARIABLE {
			tokens[index].Kind = govaluate.STRING
		}
	}
	second, err := govaluate.NewEvaluableExpressionFromTokens(tokens)
	if err != nil {
		return false, err
	}
	value, err := second.Evaluate(nil)
	if err != nil {
		return false, err
	}
	answer, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("expected boolean, got %T", value)
	}
	return answer, nil
}

// replace fills the tags of a JSON text: `strict` is nil (no tag must resolve), ["*"] (every tag must), or prefixes.
func replace(document string, values map[string]any, strict []string) (string, error) {
	if !json.Valid([]byte(document)) {
		return "", errors.New("cannot do template replacements with invalid JSON")
	}
	var required *regexp.Regexp
	artifactsMayWait := true
	if len(strict) == 1 && strict[0] == "*" {
		required, artifactsMayWait = regexp.MustCompile(".*"), false
	} else if len(strict) > 0 {
		quoted := make([]string, len(strict))
		for index, name := range strict {
			quoted[index] = regexp.QuoteMeta(name)
		}
		required = regexp.MustCompile("^(" + strings.Join(quoted, "|") + `)(\.|$)`)
	}
	tags, err := fasttemplate.NewTemplate(document, "{{", "}}")
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	_, err = tags.ExecuteFunc(&out, func(w io.Writer, tag string) (int, error) {
		if expression, ok := strings.CutPrefix(tag, "="); ok {
			expression = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(expression)
			return replaceExpression(w, expression, scope(values), required)
		}
		return replaceSimple(w, tag, values, required, artifactsMayWait)
	})
	if err != nil {
		return "", err
	}
	if !json.Valid(out.Bytes()) {
		return "", errors.New("the result was invalid JSON")
	}
	return out.String(), nil
}

func escaped(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

func replaceSimple(w io.Writer, tag string, values map[string]any, required *regexp.Regexp, artifactsMayWait bool) (int, error) {
	name := strings.TrimSpace(tag)
	if value, ok := values[name]; ok {
		text, isText := value.(string)
		if !isText {
			return 0, fmt.Errorf("no text: {{%s}}", tag)
		}
		return io.WriteString(w, escaped(text))
	}
	if at := strings.LastIndex(tag, "{{"); at > 0 {
		if value, ok := values[tag[at+2:]]; ok {
			if value == nil {
				return 0, fmt.Errorf("absent: {{%s}}", tag)
			}
			if text, isText := value.(string); isText {
				return io.WriteString(w, "{{"+tag[:at]+escaped(text))
			}
		}
	}
	waits := artifactsMayWait && strings.Contains(name, ".outputs.artifacts.")
	if required != nil && required.MatchString(name) && !waits {
		return 0, fmt.Errorf("failed to resolve {{%s}}", tag)
	}
	return io.WriteString(w, "{{"+tag+"}}")
}

var late = map[string]bool{
	"item": true, "retries": true, "lastRetry.exitCode": true, "lastRetry.status": true, "lastRetry.duration": true,
	"lastRetry.message": true, "workflow.status": true, "workflow.failures": true,
}

func replaceExpression(w io.Writer, expression string, names map[string]any, required *regexp.Regexp) (int, error) {
	unresolved := func() (int, error) { return io.WriteString(w, "{{="+expression+"}}") }
	var text string
	jsonErr := json.Unmarshal([]byte(`"`+expression+`"`), &text)
	if jsonErr != nil {
		return 0, jsonErr
	}
	missing, err := missingNames(text, names)
	if err != nil {
		return 0, err
	}
	mayWait := required == nil || len(missing) > 0
	for _, name := range missing {
		if required != nil && required.MatchString(name) {
			return 0, fmt.Errorf("%s is missing", name)
		}
	}
	for _, name := range missing {
		if late[name] {
			return unresolved()
		}
	}
	result, err := evaluate(text, names)
	if (err != nil || result == nil) && mayWait {
		return unresolved()
	}
	if err != nil {
		return 0, err
	}
	if result == nil {
		return 0, errors.New("nil")
	}
	written, err := json.Marshal(result)
	if err != nil {
		if mayWait {
			return unresolved()
		}
		return 0, err
	}
	if size := len(written); size > 1 && written[0] == '"' && written[size-1] == '"' {
		return w.Write(written[1 : size-1])
	}
	return io.WriteString(w, escaped(string(written)))
}

type walker func(node *ast.Node)

func (w walker) Visit(node *ast.Node) { w(node) }

func missingNames(text string, names map[string]any) ([]string, error) {
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	guarded := map[ast.Node]bool{}
	ast.Walk(&tree.Node, walker(func(node *ast.Node) {
		switch part := (*node).(type) {
		case *ast.BinaryNode:
			if part.Operator == "??" {
				ast.Walk(&part.Left, walker(func(inner *ast.Node) {
					if _, ok := (*inner).(*ast.MemberNode); ok {
						guarded[*inner] = true
					}
				}))
			}
		case *ast.MemberNode:
			if _, ok := part.Node.(*ast.MemberNode); ok && part.Optional {
				guarded[part.Node] = true
			}
		}
	}))
	var missing []string
	ast.Walk(&tree.Node, walker(func(node *ast.Node) {
		if guarded[*node] {
			return
		}
		path := dotted(*node)
		if path != "" && !known(names, path) {
			missing = append(missing, path)
		}
	}))
	return missing, nil
}

// dotted gives `a.b.c` for a plain path, else nothing.
func dotted(node ast.Node) string {
	switch part := node.(type) {
	case *ast.IdentifierNode:
		return part.Value
	case *ast.MemberNode:
		key, ok := part.Property.(*ast.StringNode)
		if part.Optional || !ok {
			return ""
		}
		if inner := dotted(part.Node); inner != "" {
			return inner + "." + key.Value
		}
	}
	return ""
}

func known(names map[string]any, path string) bool {
	var current any = names
	for _, part := range strings.Split(path, ".") {
		value := reflect.ValueOf(current)
		if value.Kind() != reflect.Map {
			return false
		}
		found := value.MapIndex(reflect.ValueOf(part))
		if !found.IsValid() {
			return false
		}
		current = found.Interface()
	}
	return true
}
