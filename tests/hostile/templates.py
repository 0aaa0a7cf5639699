"""Chat templates that must end in an error: (name, template, why)."""

DEEP = 20000

TEMPLATES = [
    ("syntax-unclosed", "{{ messages", "an expression is never closed"),
    ("syntax-unclosed-block", "{% for m in messages %}x", "a for is never ended"),
    ("syntax-unknown-tag", "{% frobnicate %}", "no such tag"),
    ("syntax-stray-end", "{% endfor %}", "an endfor without its for"),
    ("syntax-operator", "{{ 1 + * 2 }}", "not an expression"),
    ("raise-exception", "{{ raise_exception('this model talks to nobody') }}",
     "the template refuses the conversation"),
    ("divide-by-zero", "{{ 1 // 0 }}", "division by zero"),
    ("attribute-of-undefined", "{{ nobody.name.first }}", "an attribute of what is not there"),
    ("call-of-undefined", "{{ nobody() }}", "a call of what is not there"),
    ("call-of-a-string", "{{ 'text'() }}", "a call of a string"),
    ("unknown-filter", "{{ messages | frobnicate }}", "no such filter"),
    ("unknown-test", "{{ 1 is frobnicated }}", "no such test"),
    ("add-none", "{{ none + 1 }}", "a sum of null and a number"),
    ("include", "{% include '/etc/passwd' %}", "reads another file"),
    ("endless-loop", "{% for i in range(1000000000) %}{% endfor %}", "a loop of 10^9 steps"),
    ("nested-loops", "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) "
     "%}{% endfor %}{% endfor %}{% endfor %}", "loops in loops, 10^12 steps"),
    ("endless-macro", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
     "a macro that calls itself for ever"),
    ("huge-output", "{% for a in range(99999) %}" + "x" * 1000 +
     "{% for b in range(999) %}" + "y" * 1000 + "{% endfor %}{% endfor %}", "100 GB of output"),
    ("huge-product", "{{ 'x' * 4000000000 }}", "a string of 4 GB"),
    ("huge-list", "{{ ([0] * 4000000000) | length }}", "a list of 4e9 elements"),
    ("huge-range", "{{ range(9000000000000000000) | list | length }}",
     "a list of 9e18 numbers"),
    ("doubling-string", "{% set n = namespace(s='x') %}{% for i in range(64) %}"
     "{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}", "a string that doubles 64 times"),
    ("huge-indent", "{{ 'a\\nb' | indent(4000000000) }}", "an indent of 4 GB"),
    ("deep-parentheses", "{{ " + "(" * DEEP + "1" + ")" * DEEP + " }}", "20,000 parentheses"),
    ("deep-lists", "{{ " + "[" * DEEP + "]" * DEEP + " }}", "20,000 lists in lists"),
    ("deep-nots", "{{ " + "not " * DEEP + "1 }}", "20,000 nots"),
    ("deep-blocks", "{% if 1 %}" * DEEP + "{% endif %}" * DEEP, "20,000 ifs in ifs"),
]
