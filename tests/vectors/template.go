package main

import (
	"encoding/json"
	"math/rand"
)

// templateVectors: tags in a JSON text, hand-made and random, under each of the three rules for tags without a value.
func templateVectors(random *rand.Rand) []vector {
	var found []vector
	add := func(texts ...string) {
		for _, text := range texts {
			for _, strict := range [][]string{nil, {"*"}, {"inputs", "tasks", "steps"}} {
				document := string(must(json.Marshal(text)))
				made := vector{In: text, Env: "argo", Strict: strict}
				out, err := replace(document, environment("argo"), strict)
				if err != nil {
					made.Error = short(err)
				} else {
					var filled string
					if json.Unmarshal([]byte(out), &filled) != nil {
						continue
					}
					made.Out = &filled
				}
				found = append(found, made)
			}
		}
	}
	for _, text := range lines(templateTexts) {
		add(text)
	}
	pieces := []string{"{{inputs.parameters.n}}", "{{ inputs.parameters.name }}", "{{inputs.parameters.nope}}", "{{item}}", "{{item.x}}",
		"{{=inputs.parameters.n}}", "{{=asInt(inputs.parameters.n) + 1}}", "{{workflow.name}}", "{{workflow.status}}", "{{=item}}", "{{=nope}}",
		"{{=tasks['b-c'].outputs.parameters.out}}", "{{tasks.a.outputs.artifacts.x}}", "text ", "{", "}", "{{", "}}", "'; touch x #", "$(id)",
		"\n", "--x", "\"", "\\", "é☃", "{{=sprig.upper(workflow.name)}}", "{{steps.skipped.outputs.result}}", "{{=steps.skipped.outputs.result}}",
		"{{pod.name}}", "{{=retries}}", "{{inputs.parameters.{{item}}}}", "{{inputs.parameters.lines}}", "{{=inputs.parameters.lines}}", "{{=\"<&>\"}}"}
	for range 160 {
		text := ""
		for range 1 + random.Intn(4) {
			text += pieces[random.Intn(len(pieces))]
		}
		add(text)
	}
	return found
}

const templateTexts = `
	no tags
	{{inputs.parameters.n}}
	{{ inputs.parameters.n }}
	{{␉inputs.parameters.n}}
	a {{inputs.parameters.n}} b {{inputs.parameters.name}} c
	{{inputs.parameters.n}}{{inputs.parameters.n}}
	{{inputs.parameters.empty}}
	{{inputs.parameters.lines}}
	{{inputs.parameters.json}}
	{{inputs.parameters.nope}}
	{{nope}}
	{{}}
	{{ }}
	{{=}}
	{{= }}
	{{ =1}}
	{{=1}}
	{{= 1 + 1 }}
	{{=1.0}}
	{{=1.5}}
	{{=1e21}}
	{{=true}}
	{{=nil}}
	{{=[1, "a"]}}
	{{={a: "x"}}}
	{{={a: "x"} }}
	{{=toJson({a: "x"})}}
	{{="text"}}
	{{='text'}}
	{{="a\nb"}}
	{{="a\\nb"}}
	{{="a\"b"}}
	{{="é"}}
	{{="<&>"}}
	{{=["<&>"]}}
	{{=1 < 2}}
	{{=1 < 2 && 3 > 2}}
	{{=inputs.parameters.n}}
	{{=inputs.parameters.n + 1}}
	{{=asInt(inputs.parameters.n) + 1}}
	{{=inputs.parameters.nope}}
	{{=inputs.parameters.nope ?? "d"}}
	{{=inputs.parameters["nope"] ?? "d"}}
	{{=inputs.parameters?.nope}}
	{{=inputs.nope?.x ?? 1}}
	{{=inputs.parameters}}
	{{=inputs.parameters.lines}}
	{{=inputs.parameters.json}}
	{{=fromJSON(inputs.parameters.json).a}}
	{{=nope}}
	{{=nope.x}}
	{{=nope ?? 1}}
	{{=item}}
	{{=item.x}}
	{{=item + 1}}
	{{=retries}}
	{{=lastRetry.exitCode}}
	{{=asInt(lastRetry.exitCode) > 1}}
	{{=workflow.status}}
	{{=workflow.name}}
	{{=workflow.nope}}
	{{=tasks.a.outputs.result}}
	{{=tasks.a.outputs.nope}}
	{{=tasks.nope.outputs.result}}
	{{=tasks["b-c"].outputs.parameters.out}}
	{{=steps.skipped.outputs.result}}
	{{=steps.skipped.outputs.result ?? "d"}}
	{{steps.skipped.outputs.result}}
	{{x{{steps.skipped.outputs.result}}}}
	{{tasks.a.outputs.result}}
	{{tasks.a.outputs.artifacts.x}}
	{{tasks.nope.outputs.result}}
	{{tasksa.x}}
	{{tasks}}
	{{steps.nope}}
	{{pod.name}}
	{{inputs}}
	{{inputs.artifacts.x.path}}
	{{workflow.status}}
	{{item}}
	{{item.x}}
	{{inputs.parameters.{{item}}}}
	{{inputs.parameters.{{workflow.name}}}}
	{{a{{b}}}}
	{{{{item}}}}
	{{{item}}}
	{{{inputs.parameters.n}}}
	{{inputs.parameters.n}
	{inputs.parameters.n}}
	{{inputs.parameters.n
	inputs.parameters.n}}
	}}{{inputs.parameters.n}}
	{{inputs.parameters.n}}}}
	{{inputs.parameters.n}}{{
	{{=1
	{{=1 +}}
	{{=1 + }}
	{{=(}}
	{{=sprig.upper(inputs.parameters.name)}}
	{{=sprig.upper(nope)}}
	{{=sprig.nope(1)}}
	{{=len(inputs.parameters.name)}}
	{{=len}}
	{{=asInt}}
	{{=map([1, 2], # * 2)}}
	{{=map([1, 2], {# * 2})}}
	{{=map([1, 2], {# * 2}) }}
	{{=let x = 1; x + 1}}
	{{=filter([1, 2], # > nope)}}
	{{=groupBy([1, 2], #)}}
	{{=0/0}}
	{{=1/0}}
	{{=5 % 0}}
	{{=date("2024-01-01")}}
	{{=duration("1h")}}
	{{=string(duration("1h"))}}
	{{=inputs.parameters.date}}
	{{=date(inputs.parameters.date).Unix()}}
	{{= inputs.parameters.n == "5" ? "yes" : "no" }}
	{{=jsonpath(inputs.parameters.json, "$.a[0]")}}
	{{=jsonpath(inputs.parameters.json, "$.s")}}
	{{="{{item}}"}}
	{{="}}"}}
	{{=''}}
	{{=""}}x
	{{="\u0001"}}
	{{="\u007f"}}
	{{="\u2028"}}
	{{="\x00"}}
	{{=toBase64("\xff")}}
	{{=["\u0001"]}}
	{{="it's"}}
	{{=["\"quoted\""]}}
	{{=["back\\slash"]}}
	{{=´raw´}}
	{{=´raw␤line´}}
	{{=1␤+ 1}}
	'; touch x #
	$(touch x)
	--leading
	\{{item}}
	\\{{item}}
	"{{item}}"
	{{"item"}}
	{{item␤}}
	{{␤item}}
`
