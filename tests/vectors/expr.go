package main

import (
	"fmt"
	"math/rand"
	"strings"
)

// exprVectors: hand-made expressions for every operator, builtin, literal and error, then random ones from a grammar.
func exprVectors(random *rand.Rand) []vector {
	var found []vector
	add := func(text, env string) {
		if made, ok := outcome(text, env); ok {
			found = append(found, made)
		}
	}
	// Of what is put together by chance, one refusal in four is enough.
	chance := func(text, env string) {
		if made, ok := outcome(text, env); ok && (made.Error == "" || random.Intn(4) == 0) {
			found = append(found, made)
		}
	}
	for _, text := range lines(exprTyped) {
		add(text, "typed")
	}
	for _, text := range lines(exprArgo) {
		add(text, "argo")
	}
	for _, operator := range []string{"==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "**", "^", "in", "..",
		"??", "and", "or", "&&", "||", "contains", "matches", "startsWith", "endsWith", "not in", "?:"} {
		for _, left := range operands {
			chance(left+" "+operator+" "+operands[random.Intn(len(operands))], "typed")
			chance(left+" "+operator+" "+operands[random.Intn(len(operands))], "typed")
			if random.Intn(3) > 0 {
				continue
			}
			chance("m.none ?? ("+left+" "+operator+" mix["+fmt.Sprint(random.Intn(5))+"])", "typed")
		}
	}
	for _, name := range exprBuiltins {
		add(name+"()", "typed")
		for range 30 {
			count := 1 + random.Intn(3)
			arguments := make([]string, count)
			for index := range arguments {
				arguments[index] = operands[random.Intn(len(operands))]
			}
			chance(name+"("+strings.Join(arguments, ", ")+")", "typed")
		}
	}
	made := &grammar{random}
	for range 4000 {
		text := made.any(2 + random.Intn(3))
		if random.Intn(12) == 0 {
			text = made.broken(text)
		}
		chance(text, "typed")
	}
	return found
}

func lines(text string) []string {
	var found []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimPrefix(line, "\t"); strings.TrimSpace(line) != "" {
			found = append(found, strings.NewReplacer("␤", "\n", "␉", "\t", "´", "`").Replace(line))
		}
	}
	return found
}

var operands = []string{"s", "e", "n", "z", "neg", "f", "g", "t", "u", "nul", "li", "lf", "ls", "le", "mix", "m", "me", "big",
	"1", "0", "-2", "1.5", "\"a\"", "'12'", "true", "nil", "[1, 2]", "[\"a\", 'b']", "{a: 1}", "m.a", "m.b", "m.c", "m.nope",
	"mix[0]", "mix[2]", "mix[3]", "mix[4]", "1..3", "uni", "lm", "lm[0].k", "duration(\"1h\")", "date(\"2024-01-02\")", "num",
	"nest", "int(num)", "sprig.add(1, 2)", "sprig.splitList(\",\", \"a,b\")"}

var exprBuiltins = strings.Fields(`len type abs ceil floor round int float string trim trimPrefix trimSuffix upper lower split
 splitAfter replace repeat join indexOf lastIndexOf hasPrefix hasSuffix max min mean median toJSON fromJSON toBase64 fromBase64
 duration date timezone first last get take keys values toPairs fromPairs reverse uniq concat flatten sort bitand bitor bitxor
 bitnand bitshl bitshr bitushr bitnot asInt asFloat jsonpath toJson sum count nosuch`)

type grammar struct{ *rand.Rand }

func (g *grammar) pick(choices ...string) string { return choices[g.Intn(len(choices))] }

// any gives an expression of a random kind.
func (g *grammar) any(depth int) string {
	switch g.Intn(7) {
	case 0, 1:
		return g.number(depth)
	case 2:
		return g.text(depth)
	case 3:
		return g.truth(depth)
	case 4:
		return g.list(depth)
	case 5:
		return g.mapping(depth)
	default:
		return g.mixed(depth)
	}
}

func (g *grammar) number(depth int) string {
	if depth <= 0 {
		return g.pick("n", "z", "neg", "f", "g", "big", "0", "1", "2", "10", "0x1F", "0b101", "0o17", "1_000", "1.5", "2e3", ".5",
			"1e-7", "1e21", "m.a", "mix[0]", "len(ls)", "9223372036854775807")
	}
	next := depth - 1
	switch g.Intn(16) {
	case 0, 1, 2, 3:
		return g.number(next) + " " + g.pick("+", "-", "*", "/", "%", "**", "+", "-", "*") + " " + g.number(next)
	case 4:
		return "(" + g.number(next) + " " + g.pick("+", "-", "*", "%") + " " + g.number(next) + ")"
	case 5:
		return g.pick("-", "+", "abs", "ceil", "floor", "round", "int", "float", "string", "asInt", "bitnot") + "(" + g.number(next) + ")"
	case 6:
		return g.pick("len", "sum", "max", "min", "mean", "median", "count", "first", "last") + "(" + g.list(next) + ")"
	case 7:
		return g.pick("max", "min", "bitand", "bitor", "bitxor", "bitshl", "bitshr") + "(" + g.number(next) + ", " + g.number(next) + ")"
	case 8:
		return g.truth(next) + " ? " + g.number(next) + " : " + g.number(next)
	case 9:
		return g.pick("count", "sum", "findIndex", "findLastIndex") + "(" + g.list(next) + ", " + g.predicate(next) + ")"
	case 10:
		return "reduce(" + g.list(next) + ", " + g.pick("#acc + #", "#acc * #", "# + #index + #acc", "max(#acc, #)") + g.pick("", ", 0", ", "+g.number(0)) + ")"
	case 11:
		return g.pick("indexOf", "lastIndexOf") + "(" + g.text(next) + ", " + g.text(0) + ")"
	case 12:
		return g.list(next) + "[" + g.number(0) + "]"
	case 13:
		return "let v = " + g.number(next) + "; v " + g.pick("+", "*", "-") + " " + g.number(0)
	case 14:
		return g.list(next) + " | " + g.pick("len()", "sum()", "first()", "last()", "max()", "count(# > 1)", "map(# * 2) | sum()")
	default:
		return "len(" + g.text(next) + ")"
	}
}

func (g *grammar) text(depth int) string {
	if depth <= 0 {
		return g.pick("s", "e", "sp", "uni", "num", "\"a\"", "'b c'", "\"\"", "'é'", "m.b", "ls[0]", "\"\\n\\t\\u00e9\"", "'it\\'s'", "´raw\\n´", "\"<&>\"", "lm[1].k")
	}
	next := depth - 1
	switch g.Intn(13) {
	case 0, 1:
		return g.text(next) + " + " + g.text(next)
	case 2:
		return g.pick("upper", "lower", "trim", "toBase64", "type", "string", "toJSON", "toJson") + "(" + g.text(next) + ")"
	case 3:
		return "string(" + g.any(next) + ")"
	case 4:
		return g.pick("toJSON", "toJson", "type") + "(" + g.any(next) + ")"
	case 5:
		return "join(" + g.texts(next) + g.pick("", ", \"-\"", ", "+g.text(0)) + ")"
	case 6:
		return g.text(next) + "[" + g.pick("", "1", "-2", "n") + ":" + g.pick("", "3", "-1", "z") + "]"
	case 7:
		return "replace(" + g.text(next) + ", " + g.text(0) + ", " + g.text(0) + g.pick("", ", 1") + ")"
	case 8:
		return "repeat(" + g.text(next) + ", " + g.pick("0", "1", "3", "n", "-1") + ")"
	case 9:
		return g.pick("trimPrefix", "trimSuffix", "trim") + "(" + g.text(next) + ", " + g.text(0) + ")"
	case 10:
		return g.truth(next) + " ? " + g.text(next) + " : " + g.text(next)
	case 11:
		return "sprig." + g.pick("upper", "title", "snakecase", "b64enc", "quote", "trim", "toString", "kebabcase") + "(" + g.text(next) + ")"
	default:
		return g.text(next) + " | " + g.pick("upper()", "trim()", "split(\"l\") | join(\"-\")", "lower() | toBase64()")
	}
}

func (g *grammar) truth(depth int) string {
	if depth <= 0 {
		return g.pick("t", "u", "true", "false", "mix[3]", "lm[0].ok", "n > 3", "s == \"hello\"", "nul == nil")
	}
	next := depth - 1
	switch g.Intn(13) {
	case 0:
		return g.number(next) + " " + g.pick("<", ">", "<=", ">=", "==", "!=") + " " + g.number(next)
	case 1:
		return g.text(next) + " " + g.pick("<", "==", "!=", "contains", "startsWith", "endsWith", "not contains", "not startsWith") + " " + g.text(next)
	case 2:
		return g.truth(next) + " " + g.pick("and", "or", "&&", "||", "==", "!=") + " " + g.truth(next)
	case 3:
		return g.pick("not ", "!") + "(" + g.truth(next) + ")"
	case 4:
		return g.number(next) + g.pick(" in ", " not in ") + g.list(next)
	case 5:
		return g.text(0) + g.pick(" in ", " not in ") + g.pick("ls", "m", "[\"a\", \"hello\"]", "me", "mix", g.texts(next))
	case 6:
		return g.pick("all", "any", "none", "one") + "(" + g.list(next) + ", " + g.predicate(next) + ")"
	case 7:
		return g.text(0) + " matches " + g.pick("\"^h.*o$\"", "'[a-c]+'", "\"(?i)HELLO\"", "'\\\\d'", "\"\\\\bb\"", "'('", "s")
	case 8:
		return g.any(next) + g.pick(" == ", " != ") + g.any(next)
	case 9:
		return g.number(0) + g.pick(" < ", " <= ", " > ") + g.number(next) + g.pick(" < ", " <= ") + g.number(0)
	case 10:
		return g.pick("hasPrefix", "hasSuffix") + "(" + g.text(next) + ", " + g.text(0) + ")"
	case 11:
		return "not " + g.truth(next)
	default:
		return "(" + g.truth(next) + ")"
	}
}

func (g *grammar) list(depth int) string {
	if depth <= 0 {
		return g.pick("li", "lf", "le", "lu", "1..4", "[1, 2, 3]", "[]", "[n, f]", "n..n", "3..1", "mix")
	}
	next := depth - 1
	switch g.Intn(12) {
	case 0:
		return "map(" + g.list(next) + ", " + g.pick("# * 2", "# + #index", "string(#)", "{# > 1}", "{let x = #; x + 1}", "-#") + ")"
	case 1:
		return "filter(" + g.list(next) + ", " + g.predicate(next) + ")"
	case 2:
		return g.pick("reverse", "uniq", "sort", "flatten", "concat") + "(" + g.list(next) + ")"
	case 3:
		return "sort(" + g.list(next) + ", " + g.pick("\"asc\"", "\"desc\"", "'up'") + ")"
	case 4:
		return "sortBy(" + g.list(next) + ", " + g.pick("-#", "#", "abs(#)") + g.pick("", ", 'desc'", ", \"asc\"") + ")"
	case 5:
		return "take(" + g.list(next) + ", " + g.number(0) + ")"
	case 6:
		return g.list(next) + "[" + g.pick("", "1", "-2", "z") + ":" + g.pick("", "2", "-1", "n") + "]"
	case 7:
		return "concat(" + g.list(next) + ", " + g.list(next) + ")"
	case 8:
		return "[" + g.any(next) + ", " + g.any(next) + "]"
	case 9:
		return g.number(0) + ".." + g.pick("2", "n", "4")
	case 10:
		return "map(lm, .v)"
	default:
		return g.texts(next)
	}
}

func (g *grammar) texts(depth int) string {
	if depth <= 0 {
		return g.pick("ls", "[\"x\", \"y\"]", "split(s, \"l\")", "map(lm, .k)")
	}
	return g.pick("split("+g.text(depth-1)+", "+g.text(0)+")", "splitAfter("+g.text(depth-1)+", \"l\")", "map(li, string(#))",
		"map("+g.texts(depth-1)+", upper(#))", "filter(ls, # > \"a\")", "sort("+g.texts(depth-1)+")", "split("+g.text(depth-1)+", \"\", 2)")
}

func (g *grammar) mapping(depth int) string {
	if depth <= 0 {
		return g.pick("m", "me", "{}", "m.c", "lm[0]", "m1")
	}
	next := depth - 1
	switch g.Intn(7) {
	case 0:
		return "{a: " + g.any(next) + ", \"b\": " + g.any(next) + "}"
	case 1:
		return "groupBy(lm, .k)[" + g.text(0) + "]"
	case 2:
		return "fromPairs([[" + g.text(0) + ", " + g.any(next) + "]])"
	case 3:
		return "find(lm, " + g.pick(".v > 1", ".ok", ".k == \"y\"", "#.v > 9") + ")"
	case 4:
		return "fromJSON(toJSON(" + g.any(next) + "))"
	case 5:
		return "{(" + g.text(next) + "): 1}"
	default:
		return g.pick("keys(m1)", "values(m1)", "toPairs(m1)", "sort(keys(m))", "len(m)")
	}
}

func (g *grammar) mixed(depth int) string {
	next := depth - 1
	if depth <= 0 {
		return g.pick("nil", "nul", "m.nope", "m?.nope?.x", "mix[4]", "get(m, \"a\")", "get(li, 9)", "m[\"b\"]", "nul?.x", "m.c.d[1]", "m.c?.d")
	}
	switch g.Intn(8) {
	case 0:
		return g.mixed(next) + " ?? " + g.any(0)
	case 1:
		return "(" + g.mixed(next) + ") ?? " + g.any(next)
	case 2:
		return "if " + g.truth(next) + " { " + g.any(next) + " } else { " + g.any(next) + " }"
	case 3:
		return g.truth(next) + " ? " + g.any(next) + " : " + g.any(next)
	case 4:
		return "let a = " + g.any(next) + "; let b = " + g.any(0) + "; [a, b]"
	case 5:
		return g.pick("first", "last") + "(" + g.list(next) + ")"
	case 6:
		return "jsonpath(j, \"$." + g.pick("a.b", "a.b[0]", "a.b[-1]", "c", "..b", "a.*", "x", "a.b[?(@ > 1)]", "a.b[0:2]") + "\")"
	default:
		return g.pick("find", "findLast") + "(" + g.list(next) + ", " + g.predicate(next) + ")"
	}
}

func (g *grammar) predicate(depth int) string {
	return g.pick("# > 1", "# < 3", "{# != 2}", "# == "+g.number(0), "# % 2 == 0", "true", "{# >= 1 and # <= 3}", "# in li",
		"type(#) == \"int\"", "{let x = #; x > 1}", "not (# > 2)", "#", "# > \"a\"")
}

// broken takes a character out of `text`, doubles one, or puts a stray one in.
func (g *grammar) broken(text string) string {
	runes := []rune(text)
	at := g.Intn(len(runes))
	stray := []rune("()[]{}.,;:?!#'\"\\|&=+ ´@~$0x")
	switch g.Intn(3) {
	case 0:
		return string(runes[:at]) + string(runes[at+1:])
	case 1:
		return string(runes[:at+1]) + string(runes[at:])
	default:
		return string(runes[:at]) + string(stray[g.Intn(len(stray))]) + string(runes[at:])
	}
}
