package main

// One expression a line; ␤ is a line feed, ␉ a tab, ´ a backquote.
const exprTyped = `
	1
	-1
	+1
	- 1
	--1
	-(-1)
	1 + 2 * 3
	(1 + 2) * 3
	2 ** 3 ** 2
	-2 ** 2
	2 ^ 3
	7 / 2
	6 / 2
	7 % 3
	-7 % 3
	7 % -3
	7 % 0
	n % z
	n / z
	-n / z
	z / z
	0 / 0
	f % 2
	1 - 1.0
	1.0
	1.50
	1e3
	1E3
	1e+3
	1e-3
	1.5e300 * 1e10
	1e308 * 10
	1e400
	-1e308 * 10
	0x1F
	0X1f
	0b11
	0o17
	017
	09
	1_000_000
	1__0
	_1
	1_
	0x
	0xg
	1.
	1.e3
	.5
	5.5.5
	1..3
	1...3
	1.5..3
	9223372036854775807
	9223372036854775808
	-9223372036854775808
	9223372036854775807 + 1
	big + 1
	big * 2
	-big - 2
	big - -1
	0xffffffffffffffff
	0x7fffffffffffffff
	100000 * 100000
	1e6
	1e5
	123456789.0
	1e20
	1e21
	1e22
	123456789012345678
	0.1 + 0.2
	1/3
	0.000001
	0.0000001
	1e-5
	0.0001
	100000.0 * 10
	1e15 + 0.3
	3.0
	-0.0
	0.0 * -1
	float("1e3")
	float(" 1")
	float("0x1p-2")
	float("inf")
	float("nan")
	float("1_000")
	float("")
	float(true)
	float(nil)
	int("12")
	int("-12")
	int("+12")
	int("1.5")
	int(" 1")
	int("0x10")
	int("1_0")
	int("")
	int(1.9)
	int(-1.9)
	int(1e30)
	int(true)
	int(nil)
	int([])
	int("99999999999999999999")
	asInt("7")
	asInt("7.0")
	asInt(7.9)
	asInt()
	asInt(1, 2)
	asInt(nil)
	asFloat("7")
	asFloat("x")
	asInt(s)
	string(1)
	string(1.0)
	string(1.5)
	string(1e21)
	string(1000000.0)
	string(nil)
	string(true)
	string([1, "a", nil, 2.5])
	string({b: 1, a: "x"})
	string("x")
	string(m)
	string(lm)
	string()
	string(1, 2)
	type(1)
	type(1.5)
	type("s")
	type(nil)
	type(true)
	type([])
	type({})
	type(1..2)
	type(asInt)
	type(len)
	type(duration("1h"))
	type(date("2024-01-01"))
	type(now())
	type(now() - now())
	type(sprig)
	type(sprig.upper)
	type(s[0:1])
	type(mix[0])
	type(sprig.add(1))
	type(uni)
	type(timezone("UTC"))
	"a" + "b"
	'a' + "b"
	"a" + 1
	1 + "a"
	"a" - "b"
	"a" * 2
	s + 1
	n + s
	t + 1
	[1] + [2]
	"\a\b\f\n\r\t\v\\\"\'"
	'\''
	"\'"
	'\"'
	"\x41"
	"\x4"
	"\u00e9"
	"\u{1F600}"
	"\u{}"
	"\u{110000}"
	"\U0001F600"
	"\101"
	"\400"
	"\1"
	"\q"
	"\?"
	"\´"
	"\/"
	"unterminated
	'unterminated
	´unterminated
	"line␤break"
	´line␤break´
	´a´´b´
	´a\nb´
	´´
	´´´´
	""
	"tab␉in"
	b"abc"
	b'\xff'
	"é" + "ü"
	len("é☃")
	len(uni)
	uni[0:1]
	uni[1:3]
	uni[1:2]
	uni[-3:]
	s[0]
	s[1:3]
	s[:2]
	s[2:]
	s[:]
	s[-2:]
	s[:-2]
	s[3:1]
	s[9:]
	s[:99]
	s["a":]
	m.b[0]
	m.b[1:]
	mix[1][0]
	li[0]
	li[-1]
	li[-4]
	li[-5]
	li[4]
	li[1.0]
	li[1.5]
	li["0"]
	li[n]
	li[1:2]
	li[:-1]
	li[nil]
	n[0]
	n[0:1]
	m[0:1]
	m.a
	m["a"]
	m['a']
	m.c.d
	m.c.d[0]
	m.c.e
	m.c.e.f
	m.nope
	m.nope.x
	m["no" + "pe"]
	m[1]
	m[nil]
	m.a.b
	m?.a
	m?.nope?.x
	m?.nope.x
	m.nope?.x
	m.nope?.x.y.z
	m.nope?.["x"]
	m?.["a"]
	m?.[nil]
	m.nope?.[0]
	(m.nope?.x).y
	m.nope?.x[0]
	m?.c?.d?.[0]
	nul?.x
	nul.x
	nul
	nul == nil
	nul ?? 1
	nil ?? nil
	nil ?? 1
	1 ?? 2
	m.nope ?? "d"
	m.nope ?? m.nope ?? "d"
	m.nope.x ?? "d"
	m.nope?.x ?? "d"
	1 + m.nope ?? 2
	(m.nope ?? 2) + 1
	m.nope ?? 2 + 1
	m.nope ?? 2 == 2
	n ?? z || t
	nope
	nope ?? 1
	nope.x
	nope()
	s()
	m.a()
	m.nope()
	asInt.x
	len
	len + 1
	true
	false
	nil
	True
	null
	none
	true and false
	true && false
	true or false
	true || false
	not true
	!true
	!!true
	not not true
	not 1
	!nil
	!m.a
	!mix[3]
	t and 1
	1 and t
	t && m.b
	t && mix[0]
	u && mix[0]
	u || mix[0]
	mix[0] || t
	mix[0] && true
	mix[0] || true
	mix[0] or false
	true && mix[0]
	nul && t
	m.nope && t
	m.nope and m.nope
	t and not u
	not t and u
	not (t and u)
	not t == u
	t == not u
	1 == 1.0
	1 == "1"
	"a" == 'a'
	true == 1
	nil == nil
	nil == 1
	nil == s
	s == nil
	[1] == [1]
	[1] == [1.0]
	[1, "a"] == [1, "a"]
	{a: 1} == {a: 1}
	{a: 1} == {a: 1.0}
	{"a": 1} != {"b": 1}
	li == [1, 2, 3, 4]
	li == 1..4
	ls == ["b", "a", "c"]
	split("b,a,c", ",") == ls
	mix[0] == 1
	mix[0] == "1"
	mix[4] == nil
	mix == mix
	m == m
	1 < 2 < 3
	3 > 2 > 1
	1 < 3 < 2
	1 <= 1 >= 0
	1 == 1 == true
	1 < "a"
	"a" < "b"
	"a" < "B"
	"é" > "z"
	t < u
	nil < 1
	mix[0] < mix[1]
	mix[0] < mix[2]
	[1] < [2]
	1 in [1, 2]
	1 in [1.0]
	1.0 in [1, 2]
	"a" in ["a"]
	"a" in ls
	"z" in ls
	1 in ["a"]
	"1" in [1]
	mix[0] in ["a", "b"]
	mix[1] in ["a", "b"]
	mix[4] in ["a", ""]
	mix[4] in ["a"]
	nil in ["a", ""]
	nul in ["a"]
	mix[0] in [1, 2]
	mix[1] in [1, 2]
	mix[0] in [1, "a"]
	"a" in m
	"zz" in m
	1 in m
	mix[0] in m
	mix[4] in m
	"a" in {a: 1}
	"a" in "abc"
	mix[1] in "abc"
	mix[1] in s
	1 in nil
	mix[0] in nil
	mix[0] in m.nope
	mix[0] in m.a
	n in 1..10
	n not in 1..3
	f in 1..3
	2.0 in 1..3
	"a" not in ["a"]
	not ("a" in ["a"])
	not "a" in ["a"]
	[1] in [[1], [2]]
	nil in [nil]
	s contains "ell"
	s contains ""
	s not contains "x"
	s startsWith "he"
	s endsWith "lo"
	s not startsWith "he"
	s contains 1
	s contains nil
	mix[4] contains "a"
	mix[0] contains "a"
	nul contains "a"
	not s contains "ell"
	s matches "^h"
	s matches "^H"
	s matches "(?i)^H"
	s matches "l{2}"
	s matches "("
	s matches "(?=x)"
	s matches "(?<n>h)"
	s matches "(?P<n>h)"
	s matches "\\1"
	s matches "h\\Z"
	s matches "o\\z"
	s matches "[[:alpha:]]+$"
	s matches "\\pL"
	s matches "^\\p{Lu}"
	s matches "(?s).+"
	s matches "(?m)^hello$"
	s matches "(?U)h+"
	s matches "a**"
	s matches "x*+"
	s matches "h{1001}"
	s matches "[z-a]"
	s matches "\\C"
	s matches "\\Qh\\E"
	"a␤b" matches "a.b"
	"a␤b" matches "^b$"
	"a␤" matches "a$"
	"٣" matches "\\d"
	"é" matches "\\w"
	"é" matches "^.$"
	"É" matches "(?i)é"
	"ſ" matches "(?i)s"
	"K" matches "(?i)K"
	" " matches "\\s"
	"v" matches "[^\\d\\s]"
	"]" matches "[]]"
	"-" matches "[a-]"
	"\\" matches "[\\\\]"
	"&&" matches "[a&&b]"
	"a" matches "[[a]"
	"a" matches ´\x61´
	"a" matches ´\x{61}´
	"a" matches ´\141´
	"a" matches ´\a´
	"_" matches "\\W"
	s not matches "^x"
	nul matches "x"
	mix[0] matches "x"
	s matches m.b
	s matches ls[0]
	s matches 1
	s matches nil
	t ? 1 : 2
	u ? 1 : 2
	t ? u ? 1 : 2 : 3
	t ?: 2
	u ?: 2
	n ?: 2
	nul ? 1 : 2
	m.nope ? 1 : 2
	mix[0] ? 1 : 2
	n ? 1 : 2
	(t ? 1 : nil) == 1
	(u ? 1 : nil) == 1
	t ? 1
	t ? : 2
	t ? 1 : "a" - 1
	if t { 1 } else { 2 }
	if u { 1 } else if t { 2 } else { 3 }
	if t { 1 }
	if t { let x = 1; x } else { 2 }
	if n { 1 } else { 2 }
	(if t { 1 } else { 2 }) + 1
	1 + if t { 1 } else { 2 }
	let x = 1; x + 1
	let x = 1; let y = 2; x + y
	let x = let y = 2; y; x
	let x = 1; let x = 2; x
	let n = 1; n
	let len = 1; len
	let x = 1
	let x = 1;
	let x; x
	let 1 = 2; 3
	(let x = 1; x) + (let x = 2; x)
	x; 1
	1; 2
	1; 2;
	1;;2
	;
	let f = li; f | map(# + n)
	let x = nil; x ?? 3
	[]
	[1, 2, 3]
	[1, 2, 3,]
	[,]
	[1,,2]
	[1 2]
	[1, "a", nil, true, 1.5, [2], {a: 3}]
	{}
	{a: 1, "b": 2, 3: 4, (s): 5}
	{a: 1,}
	{,}
	{a}
	{a 1}
	{(n): 1}
	{(mix[0]): 1}
	{a: 1, a: 2}
	{"é": "<>&"}
	{true: 1}
	{1.5: 1}
	{a: {b: {c: [1, {d: nil}]}}}
	{not: 1}
	{in: 1}
	m.in
	m.not
	m.matches
	m.true
	m.1
	m.
	.a
	#
	#index
	1 # 2
	@
	$
	$env
	$env.n
	$env["n"]
	$env.nope
	$env?.nope
	$env["nope"] ?? 1
	"n" in $env
	len($env) > 3
	get($env, "n")
	a.b.c
	1 2
	(1
	1)
	()
	( 1 )
	1 +
	* 1
	1 == 
	== 1
	1 = 1
	1 === 1
	1 & 1
	1 | 1
	1 ~ 1
	1 <> 2
	1 && 
	a ? b : c
	"a" "b"
	// comment
	1 // comment
	1 /* in */ + /* side */ 2
	/* open
	1 # comment
	1 ␤ + ␉ 2
	not
	not in
	1 not 2
	1 not + 2
	1 in
	in [1]
	len(s)
	len(li)
	len(m)
	len(1)
	len(nil)
	len(mix[0])
	len(mix[1])
	len()
	len(1, 2)
	len(m.nope)
	abs(-1)
	abs(-1.5)
	abs("a")
	abs(nil)
	abs(mix[1])
	abs(-9223372036854775807 - 1)
	ceil(1.2)
	ceil(1)
	ceil("1")
	floor(-1.2)
	floor(1.9)
	round(1.5)
	round(2.5)
	round(-1.5)
	round(-0.4)
	round(0.49999999999999994)
	round(1)
	max(1, 2)
	max(1, 2.5)
	max([1, 5, 3])
	max([1, [7, 2]], 3)
	max([])
	max(le)
	max("a")
	max(mix[1])
	max(mix)
	max(1, "a")
	max()
	max(1, nil)
	min(1, 2)
	min(lf)
	min(li, lf)
	min([1, 1.0])
	mean([1, 2, 3])
	mean(1, 2)
	mean([])
	mean(["a"])
	mean(li, 10)
	median([3, 1, 2])
	median([4, 1, 2, 3])
	median(1)
	median([])
	sum([1, 2, 3])
	sum(lf)
	sum([])
	sum(["a", "b"])
	sum([s, "b"])
	sum([n, f])
	sum(ls)
	sum(1..100)
	sum(1..1000000)
	sum(1..10000000)
	sum(lm, .v)
	sum(lm, .k)
	sum(li, # * 2)
	sum(map(li, # + 1))
	count([true, false, true])
	count([1, 2])
	count(li, # > 2)
	count(lm, .ok)
	count(lm, .v)
	count(le)
	count(mix, # > 0) > 0
	count(mix, # > 0) >= 1
	count(mix, # > 0)
	all(li, # > 0)
	all(le, # > 0)
	all(li, #)
	all(mix, # > 0)
	any(li, # > 3)
	any(le, true)
	any(mix, # > 0)
	none(li, # > 4)
	one(li, # == 2)
	one(li, # > 2)
	all(s, true)
	all(n, true)
	all(m, true)
	all(mix[0], true)
	all(mix[1], true)
	all(nil, true)
	all(li)
	all(li, )
	all()
	all(li, {# > 0})
	all(li, {# > 0)
	all(li, # > 0;)
	filter(li, # > 2)
	filter(li, {# > 2})
	filter(lm, .ok)
	filter(lm, .v > 1)
	filter(lm, #.v > 1)
	filter(lm, {.k == "x" && .ok})
	filter(li, #index > 1)
	filter(ls, # > "a")
	filter(filter(li, # > 1), # < 4)
	filter(mix, # != nil)
	filter(mix, # > 0)
	filter(mix, # > 0)[0]
	filter(li, # > 9)[0]
	filter(li, # > 1)[0]
	filter(li, # > 1)[-1]
	filter(li, # > 9)[-1]
	first(filter(mix, # > 0))
	last(filter(li, # > 1))
	first(filter(li, # > 9))
	len(filter(li, # > 1))
	map(li, # * 2)
	map(li, #index)
	map(li, # + #index)
	map(lm, .v)
	map(lm, .nope)
	map(lm, #.k + "!")
	map(lm, {k: .k})
	map(li, {# > 1})
	map(li, {{"a": #}})
	map(filter(li, # > 2), # * 2)
	map(1..3, map(1..#, #))
	map(li, map(li, # * 2)[0])
	map(nest, map(#, #))
	map(nest, len(#))
	map(ls, upper(#))
	map(li, n)
	map(li, let x = #; x * x)
	map(li, #acc)
	map(li, #nope)
	map(m, #)
	map(s, #)
	find(li, # > 2)
	find(li, # > 9)
	find([1, 2], # > 5) == 3
	find([1, 2], # > 1) == 2
	find(lm, .k == "y").v
	find(lm, .k == "z").v
	find(lm, .k == "z")?.v
	findIndex(li, # == 3)
	findIndex(li, # == 9)
	findIndex(li, # == 9) == 1
	findIndex(li, # == 2) == 1
	findLast(li, # < 3)
	findLast(lm, .k == "x").v
	findLastIndex(lm, .k == "x")
	findLastIndex(li, # > 9)
	groupBy(lm, .k)
	groupBy(lm, .k).x
	groupBy(lm, .k)["x"]
	groupBy(lm, .k).nope
	groupBy(lm, .k)["x"][0].v
	groupBy(li, # % 2)
	groupBy(li, # % 2)[0]
	groupBy(li, # > 2)[true]
	len(groupBy(lm, .ok))
	map(groupBy(lm, .k).x, .v)
	sort(keys(groupBy(lm, .k)))
	sortBy(lm, .v)
	sortBy(lm, -.v)
	sortBy(lm, .v, "desc")
	sortBy(lm, .v, "down")
	sortBy(lm, .v, 1)
	sortBy(lm, .nope)
	sortBy(ls, #)
	sortBy(mix, #)
	sortBy([[2, "b"], [1, "a"]], #[0])
	sort(li)
	sort(ls)
	sort(lu)
	sort(lf, "desc")
	sort(ls, "desc")
	sort(ls, "x")
	sort(mix)
	sort([2, 1.5])
	sort([])
	sort(s)
	sort(split("c,a,b", ","))
	reduce(li, #acc + #)
	reduce(li, #acc + #, 10)
	reduce(le, #acc + #)
	reduce(le, #acc + #, 5)
	reduce(li, # + #acc + #index)
	reduce(ls, #acc + #)
	reduce(lm, #acc + #.v, 0)
	reduce(li, max(#acc, #))
	reduce(1..5, #acc * #)
	reduce(1..5, # + #acc)
	reverse(li)
	reverse(ls)
	reverse(s)
	uniq(lu)
	uniq([1, 1.0, "1", nil, nil])
	uniq([[1], [1]])
	concat(li, lf)
	concat([1], 2)
	concat()
	concat([])
	flatten(nest)
	flatten([1, [2, [3, [4]]]])
	flatten([split("a,b", ",")])
	flatten(1)
	first(li)
	first(le)
	first(s)
	first(mix[1])
	first(nil)
	first(m.nope)
	last(li)
	last([])
	take(li, 2)
	take(li, 9)
	take(li, 0)
	take(li, -1)
	take(li, 1.5)
	take(ls, 1)
	take(s, 1)
	get(m, "a")
	get(m, "nope")
	get(m, 1)
	get(li, 0)
	get(li, 9)
	get(li, -1)
	get(li, "a")
	get(s, 0)
	get(nil, "a")
	get(m.nope, "a")
	get(mix[1], 0)
	get(m)
	keys(m1)
	values(m1)
	sort(keys(m))
	len(values(m))
	keys({})
	keys(li)
	toPairs(m1)
	toPairs({})
	fromPairs([["a", 1], ["b", 2]])
	fromPairs([["a", 1]]).a
	fromPairs([[1, "x"]])
	fromPairs([[1, "x"]])[1]
	fromPairs([[1, "x"]])["1"]
	fromPairs([["a"]])
	fromPairs([1])
	fromPairs([[nil, 1]])
	fromPairs(toPairs(m1))
	toJSON(fromPairs([["a", 1]]))
	upper(s)
	upper(uni)
	upper("ß")
	lower("ÀÉ")
	lower("İ")
	upper(n)
	upper(mix[0])
	upper(nil)
	upper(mix[4])
	trim(sp)
	trim(sp, " a")
	trim("xxaxx", "x")
	trim("a", "")
	trim(1)
	trimPrefix("abc", "a")
	trimPrefix(" abc")
	trimPrefix("abc", "")
	trimSuffix("abc", "bc")
	trimSuffix("abc ")
	split("a,b,c", ",")
	split("a,b,c", ",", 2)
	split("a,b,c", ",", 0)
	split("a,b,c", ",", -1)
	split("a,b,c", ",", 1)
	split("", ",")
	split("", "")
	split("aé☃", "")
	split("abc", "", 2)
	split("a,b", 1)
	splitAfter("a,b,c", ",")
	splitAfter("a,b,c", ",", 2)
	splitAfter("abc", "")
	replace("aaa", "a", "b")
	replace("aaa", "a", "b", 2)
	replace("aaa", "a", "b", 0)
	replace("aaa", "a", "b", -1)
	replace("abc", "", "-")
	replace("é", "", "-", 1)
	repeat("ab", 3)
	repeat("ab", 0)
	repeat("ab", -1)
	repeat("a", 1000001)
	repeat("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 100000)
	repeat("a", 2.0)
	repeat("a", mix[2])
	join(ls)
	join(ls, ",")
	join(li)
	join(mix, ",")
	join([], ",")
	join(["a"], 1)
	join(split("a b", " "), "-")
	join("a")
	indexOf("héllo", "l")
	indexOf(s, "z")
	indexOf(s, "")
	lastIndexOf(s, "l")
	lastIndexOf(s, "")
	hasPrefix(s, "he")
	hasSuffix(s, "lo")
	hasPrefix(s)
	toJSON(m)
	toJSON(li)
	toJSON([])
	toJSON({})
	toJSON([[], {}])
	toJSON("<é>")
	toJSON(1.0)
	toJSON(nil)
	toJSON(asInt)
	toJson(m)
	toJson([1.0, 2.50, 1e21, 1e-7])
	toJson("a\"b\\c\u2028")
	toJson(asInt)
	toJson()
	fromJSON("[1, 2.5, \"a\", null, true, {\"a\": 1}]")
	fromJSON("{\"b\": 1, \"a\": 2}")
	fromJSON("1")
	type(fromJSON("1"))
	fromJSON("nope")
	fromJSON("")
	fromJSON("[1,]")
	fromJSON(" 1 ")
	fromJSON("1 2")
	fromJSON("'a'")
	fromJSON("NaN")
	fromJSON("01")
	fromJSON("1e999")
	fromJSON("\"\\ud800\"")
	fromJSON("\"\\ud83d\\ude00\"")
	fromJSON("{\"a\":1,\"a\":2}")
	fromJSON(1)
	fromJSON(j).a.b[1]
	toBase64("hé")
	toBase64(1)
	fromBase64("aMOp")
	fromBase64("aMO")
	fromBase64("####")
	fromBase64("aM\nOp")
	bitand(5, 3)
	bitor(5, 3)
	bitxor(5, 3)
	bitnand(5, 3)
	bitnot(5)
	bitshl(1, 3)
	bitshl(1, 64)
	bitshl(1, 63)
	bitshl(1, -1)
	bitshr(-8, 1)
	bitshr(8, 70)
	bitushr(-8, 1)
	bitushr(-8, 70)
	bitand(1.5, 1)
	bitand("1", 1)
	bitand(mix[0], 1)
	bitand(mix[2], 1)
	bitand(1)
	duration("1h30m")
	duration("1.5s")
	duration("100ms")
	duration("1us")
	duration("1µs")
	duration("15ns")
	duration("-1h")
	duration("0")
	duration("")
	duration("1")
	duration("1d")
	duration("1h 1m")
	duration("2540400h10m10.000000000s")
	duration("9223372036854775807ns")
	duration("9223372036854775808ns")
	string(duration("1h30m"))
	string(duration("1.5ms"))
	string(duration("0s"))
	string(duration("1ns"))
	duration("1h") + duration("1m")
	duration("1h") - duration("2h")
	duration("1h") * 2
	2 * duration("1h")
	1.5 * duration("1h")
	duration("1h") * duration("1ns")
	duration("1h") / 2
	duration("1h") / duration("1m")
	duration("1h") < duration("2h")
	duration("1h") == duration("60m")
	duration("1h") == 3600000000000
	-duration("1h")
	abs(duration("-1h"))
	int(duration("1s"))
	float(duration("1s"))
	duration("90m").Hours()
	duration("90m").Minutes()
	duration("90s").Seconds()
	duration("1.5s").Milliseconds()
	duration("90m").String()
	duration("90m").Nope()
	duration("90m").Round(duration("1h"))
	duration("90m").Truncate(duration("1h")).String()
	max(duration("1h"), duration("2h"))
	date("2023-08-14")
	date("15:04:05")
	date("2023-08-14 15:04:05")
	date("2023-08-14T00:00:00Z")
	date("2023-08-14T00:00:00.123456789+02:00")
	date("14 Aug 23 15:04 UTC")
	date("Mon, 14 Aug 2023 15:04:05 UTC")
	date("Monday, 14-Aug-23 15:04:05 UTC")
	date("nope")
	date("2023-02-30")
	date("2024-02-29")
	date("2023-13-01")
	date("")
	date("2023-08-14", "2006-01-02")
	date("14.08.2023", "02.01.2006")
	date("8/4/23 3:04PM", "1/2/06 3:04PM")
	date("2023-08-14 00:00", "2006-01-02 15:04", "Europe/Zurich")
	date("2023-08-14", "2006-01-02", "Nope/Zone")
	date("2023-08-14", "2006")
	date(timezone("Europe/Zurich"), "2023-08-14")
	date(timezone("UTC"), "2023-08-14 10:00:00")
	date("2023-01-01") < date("2023-01-02")
	date("2023-01-01") == date("2023-01-01T00:00:00Z")
	date("2023-01-02") - date("2023-01-01")
	string(date("2023-01-02") - date("2023-01-01"))
	date("2023-01-01") + duration("36h")
	duration("36h") + date("2023-01-01")
	date("2023-01-01") - duration("1s")
	date("2023-01-01") + 1
	date("2023-01-01") + date("2023-01-01")
	string(date("2023-08-14"))
	string(date("2023-08-14T00:00:00.5+02:00"))
	date("2023-08-14").Year()
	date("2023-08-14").Month()
	string(date("2023-08-14").Month())
	date("2023-08-14").Day()
	date("2023-08-14").Weekday()
	string(date("2023-08-14").Weekday())
	date("2023-08-14").YearDay()
	date("2023-08-14T10:11:12Z").Hour()
	date("2023-08-14T10:11:12Z").Minute()
	date("2023-08-14T10:11:12Z").Second()
	date("2023-08-14T10:11:12.5Z").Nanosecond()
	date("2023-08-14").Unix()
	date("2023-08-14").UnixMilli()
	date("2023-08-14").UnixNano()
	date("2023-08-14").Format("Mon Jan _2 15:04:05 2006")
	date("2023-08-14").Format("2006-01-02T15:04:05Z07:00")
	date("2023-08-04T15:04:05.678901234+02:00").Format("02/1/06 3:4:5.000 pm PM -0700 MST Z0700 .999 002 January")
	date("2023-08-14").AddDate(0, 1, 20)
	date("2024-01-31").AddDate(0, 1, 0)
	date("2023-08-14").Add(duration("1h"))
	date("2023-08-14").Sub(date("2023-08-13"))
	date("2023-08-14").Before(date("2023-08-15"))
	date("2023-08-14").After(date("2023-08-15"))
	date("2023-08-14").Equal(date("2023-08-14"))
	date("2023-08-14").IsZero()
	date("2023-08-14T23:00:00+02:00").UTC()
	date("2023-08-14").In(timezone("Europe/Zurich"))
	date("2023-08-14").In(timezone("America/New_York")).Format("2006-01-02 15:04 MST")
	date("2023-08-14").Truncate(duration("24h"))
	date("2023-08-14").Nope()
	date("2023-08-14").Year
	date("2023-08-14").Unix() > 0
	timezone("Europe/Zurich")
	string(timezone("Europe/Zurich"))
	timezone("Nope")
	now() > date("2020-01-01")
	now().Year() > 2000
	now(1)
	s | upper()
	s | upper
	s | split("l") | len()
	li | map(# * 2) | filter(# > 2) | sum()
	li | sum
	li | nope()
	1 | string()
	s | sprig.upper()
	s | trim | upper()
	li | reduce(#acc + #, 0)
	-1 | abs()
	1 + 2 | string()
	::len(s)
	::asInt("1")
	::len
	all(li, # > 0) && all(li, # < 9)
	any(li, # > 9) || any(li, # == 1)
	none(li, # > 9) && none(li, # < 0)
	n > 5 ? "big" : n > 2 ? "mid" : "small"
	toJSON(map(1..3, {n: #, sq: # * #}))
	1 + 1; 2 + 2
	1, 2
	len(s) == 5 and s[0:1] == "h"
	jsonpath(j, "$.a.b")
	jsonpath(j, "$.a.b[0]")
	jsonpath(j, "$.a.b[-1]")
	jsonpath(j, "$.c")
	jsonpath(j, "$.nope")
	jsonpath(j, "a.b")
	jsonpath(j, "$")
	jsonpath(j, "$..b")
	jsonpath(j, "$.a.*")
	jsonpath(j, "$.*")
	jsonpath(j, "$['a']['b'][1]")
	jsonpath(j, "$[\"c\"]")
	jsonpath(j, "$.a.b[0:2]")
	jsonpath(j, "$.a.b[1:]")
	jsonpath(j, "$.a.b[:2]")
	jsonpath(j, "$.a.b[::2]")
	jsonpath(j, "$.a.b[::-1]")
	jsonpath(j, "$.a.b[0,2]")
	jsonpath(j, "$.a.b[0, 9]")
	jsonpath(j, "$['a','c']")
	jsonpath(j, "$.a.b.length")
	jsonpath(j, "$.a.b[?(@ > 1)]")
	jsonpath(j, "$.a.b[?(@ == 2)]")
	jsonpath(j, "$.a.b[(@.length-1)]")
	jsonpath(j, "$.a.b[9]")
	jsonpath(j, "$.a.b['x']")
	jsonpath(j, "$.a[0]")
	jsonpath(j, "$.a.b.c")
	jsonpath(j, "$..")
	jsonpath(j, "$..*")
	jsonpath(j, "")
	jsonpath(j, "$.")
	jsonpath(j, "$[")
	jsonpath(j, "$.a.b[?(@)]")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\",\"v\":2},{\"v\":null}]", "$[?(@.v > 1)].k")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\",\"v\":2}]", "$[?(@.k == 'x')]")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\",\"v\":2}]", "$[?(@.k == 'x' || @.v == 2)].v")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\",\"v\":2}]", "$[?(@.k != \"x\")].v")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\",\"v\":2}]", "$[?(@.k =~ '^x')].v")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\"}]", "$[?(@.v)].k")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\"}]", "$[*].v")
	jsonpath("[{\"k\":\"x\",\"v\":1},{\"k\":\"y\"}]", "$..k")
	jsonpath("{\"a\": null}", "$.a")
	jsonpath("nope", "$.a")
	jsonpath("\"s\"", "$")
	jsonpath(1, "$")
	jsonpath(j)
	{{1}}
	}
	{
`

const exprArgo = `
	inputs.parameters.n
	inputs.parameters["n"]
	inputs.parameters.n == "5"
	inputs.parameters.n == 5
	inputs.parameters.n > 3
	inputs.parameters.n + 1
	asInt(inputs.parameters.n) + 1
	asFloat(inputs.parameters.n) / 2
	int(inputs.parameters.n) * 2
	inputs.parameters.nope
	inputs.parameters.nope ?? "d"
	inputs.parameters["nope"] ?? "d"
	inputs.nope.x ?? "d"
	inputs.nope?.x ?? "d"
	nope.x ?? "d"
	inputs.parameters
	toJson(inputs.parameters.name)
	inputs.parameters.json
	fromJSON(inputs.parameters.json).a
	jsonpath(inputs.parameters.json, "$.a[2].b")
	jsonpath(inputs.parameters.json, "$.a[0]")
	jsonpath(inputs.parameters.json, "$.a")
	jsonpath(inputs.parameters.json, "$.x") + 1
	jsonpath(inputs.parameters.json, "$.s") + "!"
	jsonpath(inputs.parameters.json, "$.o.k") ? "y" : "n"
	toJson(jsonpath(inputs.parameters.json, "$"))
	map(fromJSON(inputs.parameters.list), # * 2)
	sort(fromJSON(inputs.parameters.list))
	string(fromJSON(inputs.parameters.list))
	filter(fromJSON(inputs.parameters.list), {# > 1})
	map(jsonpath(inputs.parameters.list, "$"), {sprig.int(#) + 1})
	inputs.parameters.lines
	split(inputs.parameters.lines, "\n")
	trim(inputs.parameters.lines)
	sprig.trim(inputs.parameters.name)
	sprig.upper(inputs.parameters.name)
	sprig.upper(nope)
	sprig.upper(nope.x)
	sprig.int(inputs.parameters.n) + 1
	sprig.nope("x")
	sprig.upper()
	sprig.upper("a", "b")
	sprig.upper(1)
	sprig
	tasks.a.outputs.result
	tasks["a"].outputs.result
	tasks["b-c"].outputs.parameters.out
	tasks.b-c.outputs.parameters.out
	asInt(tasks.a.outputs.result) > 40 && tasks.a.status == "Succeeded"
	tasks.a.status in ["Succeeded", "Skipped"]
	steps.skipped.outputs.result
	steps.skipped.outputs.result ?? "none"
	steps.skipped.outputs.result == nil
	steps.skipped?.outputs?.nope?.x ?? "none"
	workflow.name
	workflow.name + "-" + inputs.parameters.name
	workflow.parameters.flag == "true"
	workflow.parameters.flag == true
	workflow.parameters.flag
	item
	item == "it"
	item.x
	inputs.parameters.empty == ""
	inputs.parameters.empty ?? "d"
	inputs.parameters.empty != "" ? inputs.parameters.empty : "fallback"
	sprig.default("d", inputs.parameters.empty)
	sprig.ternary("a", "b", inputs.parameters.n == "5")
	"a" + inputs.parameters.n + 'b'
	len(inputs.parameters)
	"n" in inputs.parameters
	"zz" in inputs.parameters
	date(inputs.parameters.date).Year()
	date(inputs.parameters.date).Format("20060102")
	sprig.date("2006-01-02", sprig.toDate("2006-01-02T15:04:05Z07:00", inputs.parameters.date))
	sprig.dateModify("-24h", date(inputs.parameters.date))
	string(1..3)
	toJson(1..3)
	'{"a": ' + inputs.parameters.n + '}'
`
