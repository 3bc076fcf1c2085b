package main

import (
	"fmt"
	"math/rand"
)

// whenVectors: conditions as they stand after substitution; hand-made ones, random ones and broken ones.
func whenVectors(random *rand.Rand) []vector {
	var found []vector
	add := func(text string, keep bool) {
		made := vector{In: text}
		answer, err := shouldExecute(text)
		if err != nil {
			made.Error = short(err)
		} else {
			shown := fmt.Sprint(answer)
			made.Out = &shown
		}
		if keep || err == nil {
			found = append(found, made)
		}
	}
	for _, text := range lines(whenConditions) {
		add(text, true)
	}
	add("", true)
	made := &grammar{random}
	for range 3000 {
		text := made.condition(1 + random.Intn(3))
		if random.Intn(8) == 0 {
			text = made.broken(text)
		}
		add(text, random.Intn(3) == 0)
	}
	return found
}

func (g *grammar) condition(depth int) string {
	next := depth - 1
	if depth <= 0 {
		return g.atom() + " " + g.pick("==", "!=", "==", "<", ">", "<=", ">=", "=~", "!~") + " " + g.atom()
	}
	switch g.Intn(9) {
	case 0:
		return g.condition(next) + g.pick(" && ", " || ", "&&", "||") + g.condition(next)
	case 1:
		return "(" + g.condition(next) + ")"
	case 2:
		return g.pick("!", "! ") + g.pick("(", "") + g.condition(next) + g.pick(")", "")
	case 3:
		return g.atom() + " in (" + g.atom() + ", " + g.atom() + g.pick("", ", "+g.atom()) + ")"
	case 4:
		return g.arithmetic(next) + " " + g.pick("==", "<", ">", "!=") + " " + g.arithmetic(next)
	case 5:
		return g.condition(next) + g.pick(" ? ", " ?? ") + g.atom() + g.pick(" : ", " ") + g.atom()
	case 6:
		return g.atom()
	default:
		return g.condition(next)
	}
}

func (g *grammar) arithmetic(depth int) string {
	if depth <= 0 {
		return g.atom()
	}
	return g.arithmetic(depth-1) + g.pick(" + ", " - ", " * ", " / ", " % ", " ** ", "-", " & ", " | ", " ^ ", " << ", " >> ") + g.arithmetic(depth-1)
}

func (g *grammar) atom() string {
	return g.pick("true", "false", "foo", "bar", "foo-bar", "foo.Bar", "a_b", "1", "2", "1.5", "0x1f", "-3", "'foo'", "\"foo\"", "\"a b\"",
		"''", "[foo]", "[a b]", "Succeeded", "Failed", "héllo", "007", "1e3", "'2024-01-02'", "2024-01-02", "in", "'a\\'b'", "~1", "!true",
		"heads", "tails", "10", "'1'", "IN", "\"true\"", "3", "0")
}

// One condition a line, as it stands after its tags are filled in; ␤ is a line feed, ␉ a tab, ´ a backquote.
const whenConditions = `
	true
	false
	heads == heads
	heads == tails
	heads != tails
	"heads" == heads
	'heads' == "heads"
	heads == 'tails'
	1 == 1
	1 == 1.0
	1 == "1"
	01 == 1
	1 > 0
	10 > 9
	"10" > "9"
	a < b
	a < 1
	foo in (foo, bar)
	foo in ('foo', "bar")
	baz in (foo, bar)
	1 in (1, 2)
	"1" in (1, 2)
	foo in (foo)
	foo in foo
	foo in ()
	foo IN (foo, bar)
	foo In (foo, bar)
	(foo in (foo, bar)) && (1 < 2)
	foo in (foo, bar) && 1 < 2
	foo == foo && bar == bar
	foo == foo || bar
	foo && bar
	true && foo
	false && foo
	true || foo
	false || foo
	!true
	!false
	!(true)
	!!true
	! true
	!foo
	!'foo'
	-1 == -1
	- 1 == -1
	--1 == 1
	-1 < 0
	~1 == -2
	1 + 1 == 2
	1 + 2 * 3 == 7
	(1 + 2) * 3 == 9
	10 - 2 - 3 == 5
	10 - 2 + 3 == 11
	100 / 10 / 2 == 5
	100 / 10 * 2 == 20
	2 ** 3 == 8
	2 ** 3 ** 2 == 512
	2 ** 3 ** 2 == 64
	7 % 3 == 1
	-7 % 3 == -1
	7.5 % 2 == 1.5
	1 / 0 > 1
	0 / 0 == 0 / 0
	1 << 3 == 8
	8 >> 1 == 4
	5 & 3 == 1
	5 | 3 == 7
	5 ^ 3 == 6
	1 - -1 == 2
	1 -1 == 0
	1-1 == 0
	foo-bar == foo-bar
	foo-bar == "foo-bar"
	"foo-bar" == "foo-bar"
	foo - bar == foo
	foo + bar == foobar
	"a" + 1 == a1
	1 + "a" == 1a
	foo.bar == foo.bar
	foo.Bar == foo.Bar
	foo. == foo.
	.foo == foo
	foo..Bar == 1
	[foo] == foo
	[foo bar] == "foo bar"
	[foo == foo
	foo] == foo
	foo\-bar == "foo-bar"
	[a\]b] == "a]b"
	'a\'b' == "a'b"
	'a"b' == 'a"b'
	"it's" == "it's"
	'unclosed == foo
	"unclosed == foo
	'' == ""
	"" == ""
	== ""
	"" ==
	 == heads
	heads ==
	heads heads
	heads "heads"
	(heads == heads
	heads == heads)
	((heads == heads))
	()
	(
	)
	heads = heads
	heads === heads
	heads =~ ^h
	heads =~ '^h'
	heads =~ "^h.*s$"
	heads !~ '^t'
	heads =~ '('
	heads =~ h
	1 =~ '1'
	heads =~ 1
	'heads' =~ heads
	heads <> tails
	heads & tails
	heads && tails
	true & true
	true and true
	true or false
	not true
	true ? foo : bar
	true ? true : false
	false ? true : false
	false ? foo : bar == bar
	true ? foo
	foo ?? bar
	foo ?? bar == foo
	true ?? false
	nil == nil
	null == null
	nil
	foo
	"foo"
	1
	0
	1.5
	''
	1, 2
	(1, 2) == (1, 2)
	1 in (1, 2) == true
	'2024-01-01' == '2024-01-01'
	'2024-01-01' < '2024-01-02'
	'2024-01-01' == 1704067200
	'2024-01-01T00:00:00Z' == '2024-01-01'
	'2024-01-01T00:00:00Z' == '2024-01-01 00:00'
	'2024-01-01T02:00:00+02:00' == '2024-01-01'
	'2024-01-01T00Z' == '2024-01-01'
	'2024-01-01T00:00Z' == '2024-01-01'
	'2024-01-01T00:00:00.5Z' == '2024-01-01'
	'2024-01-01 00:00:00' == '2024-01-01'
	'2024-01-01 00:00:00+00:00' == '2024-01-01'
	'3:04PM' < '3:05PM'
	'Mon Jan  1 00:00:00 2024' == '2024-01-01'
	'Mon Jan  1 00:00:00 UTC 2024' == '2024-01-01'
	'Mon Jan 01 00:00:00 +0000 2024' == '2024-01-01'
	'2024-01-32' == '2024-01-32'
	'2024-02-30' == x
	'2024-01-01' + 1 == 2
	'2024-01-01' =~ '2024'
	2024-01-01 == 2024-01-01
	2024-01-01 == 2022
	foo in ('2024-01-01', foo)
	'2024-01-01' in ('2024-01-01', foo)
	0x10 == 16
	0X10 == 16
	0xfF == 255
	0x == 0
	0xg == 0
	0x10000000000000000 == 1
	1e3 == 1000
	1e3 == 1e3
	1_000 == 1000
	1.2.3 == 1.2.3
	1.2.3
	v1.2.3 == v1.2.3
	. == 1
	1. == 1
	.5 == 0.5
	00 == 0
	999999999999999999999 == 1
	1foo == 1foo
	1 foo
	foo1 == foo1
	foo_bar == foo_bar
	_foo == _foo
	$foo == $foo
	@foo
	#foo
	foo@bar == foo@bar
	foo/bar == foo/bar
	foo:bar == foo:bar
	foo,bar == foo
	a b == a b
	{"a": 1} == x
	{{foo}} == foo
	{{foo}}
	"{{foo}}" == "{{foo}}"
	foo; bar
	´foo´ == foo
	\foo == foo
	foo\
	foo == \
	foo\ bar == "foo bar"
	é == é
	日本 == 日本
	'日本' == "日本"
	٣ == 3
	😀 == 😀
	true == true
	true == "true"
	true == True
	TRUE
	True == True
	true == 1
	true > false
	true + true == 2
	true in (true, false)
	!true == false
	!(foo == bar)
	!(foo == foo) || true
	!foo == bar
	-foo == bar
	1 == 1 == true
	1 == 1 == 1
	1 < 2 < 3
	true == true == true
	false == false == false
	a == a && b == b || c == d
	a == b || c == c && d == d
	a == b && c == c || d == d
	true || false && false
	(true || false) && false
	false && false || true
	true && false || true && false
	foo()
	foo(bar)
	foo(bar) == foo
	foo (bar)
	foo.Bar()
	foo.Bar(1)
	(foo) == foo
	(foo) (bar)
	(1)(2) == 2
	(foo) bar
	("a", "b")
	a, b == c
	a in (b, c, a)
	a in ((b, c), a)
	a in (1 + 1, a)
	2 in (1 + 1, a)
	(1, 2, 3) == (1, 2, 3)
	'; touch x # == foo
	$(touch x) == foo
	"$(touch x)" == foo
	foo == ´touch x´
	foo; rm -rf / == 1
	{{=1}} == 1
	--foo == --foo
	-x -y == z
	foo␤== foo
	"foo␤bar" == foo
	foo␉== foo
	"a\nb" == anb
	"\\" == x
	"\
	"\"" == '"'
	'\\' == '\\'
	100 % 0 == 1
	5 ~ 3
	5 !~ 3
	5 ! 3
	1 ! = 2
	1 !== 2
	foo !=bar
	foo!=bar
	foo==foo
	foo==-1
	-1==-1
	1==-1
	1 == - 1
	foo == !bar
	foo == !true
	true == !false
	1 <= 1
	1 >= 2
	1 =< 1
	a <= b
	"b" >= "a"
	1 <= a
	1 && 2
	1 || true
	false || 1
	true ?: false
	true ? 1 == 1 : 1 == 2
	(true ? 1 : 2) == 1
	(false ? 1 : 2) == 2
	1 == 2 ? false : true
	"Succeeded" == Succeeded && 5 > 3
	Succeeded == Succeeded || Failed == Failed
	1 + 1
	1 + 1 > 1 && 3 - 1 == 2 || false
	3 - 2 - 1 == 0
	3 - (2 - 1) == 2
	2 * 3 - 4 / 2 == 4
	2 - 3 * 4 + 5 == -5
	8 / 4 / 2 == 1
	8 / (4 / 2) == 4
	1 - 2 + 3 - 4 == -2
	2 * 3 % 4 == 2
	1 | 2 & 3 == 3
	1 << 2 + 1 == 8
	1 + 1 << 2 == 8
	2 ** 2 * 3 == 12
	-2 ** 2 == 4
	-2 ** 2 == -4
	5 - - 5 == 10
	5 + -5 == 0
	!true || true
	!false && true
	!(true && false) == true
	a == a == true
	'a' < 'b' == true
`
