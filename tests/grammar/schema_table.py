"""What is enforced of JSON Schema, by keyword: the table of docs/structured-output.md, and the schemas
that the tests check each of its lines with.

    schema_table.py [--check]    writes the table into the document, or fails where it differs
"""

import json
import pathlib
import sys

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "structured-output.md"
BEGIN = "<!-- written by tests/grammar/schema_table.py -->\n"
END = "<!-- end -->\n"

# keyword: (what is enforced, schemas that are accepted, schemas that are refused)
TABLE = {
    "type": (
        "all types, and lists of them",
        [{"type": t} for t in ("object", "array", "string", "number", "integer", "boolean", "null")]
        + [{"type": ["string", "null"]}, {"type": ["integer", "number", "array"]}],
        [{"type": "float"}, {"type": []}, {"type": 3}]),
    "enum, const": (
        "any values; beside them only `type`",
        [{"enum": ["a", "b\n\"", 3, -1.5, None, True, [1, "x"], {"k": [{}]}]}, {"const": {"a": 1}},
         {"enum": ["a", 1], "type": "string"}, {"const": "é"}],
        [{"enum": ["a"], "type": "integer"}, {"enum": "a"}, {"enum": ["abc"], "maxLength": 2}]),
    "properties, required": (
        "members come in the order of the schema; those required but not named come last",
        [{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}},
         {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a", "z"]},
         {"properties": {"x\"y": {}, "": {"type": "null"}}, "required": ["x\"y"]},
         {"type": "object", "properties": {"a": False, "b": True}}],
        [{"type": "object", "required": "a"}, {"properties": []},
         {"type": "object", "properties": {"a": False}, "required": ["a"]}]),
    "additionalProperties": (
        "`false`, `true` or a schema; absent is as `false` where properties are named",
        [{"type": "object", "additionalProperties": {"type": "integer"}},
         {"type": "object", "properties": {"ab": {"type": "null"}, "abc": {"type": "null"}},
          "additionalProperties": {"type": "boolean"}},
         {"type": "object", "additionalProperties": False},
         {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": True}],
        []),
    "minProperties, maxProperties": (
        "where no property is named, or where they change nothing",
        [{"type": "object", "additionalProperties": {"type": "null"}, "maxProperties": 3},
         {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"],
          "minProperties": 1, "maxProperties": 2}],
        [{"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1},
         {"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1}]),
    "items, prefixItems, minItems, maxItems": (
        "counts up to 10,000",
        [{"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
         {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}],
          "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
         {"type": "array", "prefixItems": [{"type": "null"}], "items": False},
         {"type": "array", "items": {"type": "array", "items": {"type": "null"}, "maxItems": 2},
          "maxItems": 2}, {"type": "array", "maxItems": 0}],
        [{"type": "array", "maxItems": 10_001}, {"type": "array", "minItems": 3, "maxItems": 2},
         {"type": "array", "items": [{"type": "null"}]}, {"type": "array", "minItems": -1}]),
    "minLength, maxLength": (
        "up to 10,000 characters",
        [{"type": "string", "minLength": 2, "maxLength": 5}, {"type": "string", "maxLength": 300},
         {"type": "string", "minLength": 40}, {"type": "string", "maxLength": 0}],
        [{"type": "string", "maxLength": 10_001}, {"type": "string", "maxLength": "3"},
         {"type": "string", "minLength": 0.5}]),
    "pattern": (
        "the syntax below; not beside a length or a format",
        [{"type": "string", "pattern": p} for p in
         ("^[a-z]{2,5}$", "^\\d{3}-\\d{4}$", "^(red|green)\\s?[^\\x00-\\x1f]$", "ab+", "^\"\\\\n$",
          "^[A-Z][a-z]*( [A-Z][a-z]*)*$", "^x|y$")],
        [{"type": "string", "pattern": p} for p in ("(?=a)", "(a", "\\1", "a^", "\\p{L}")]
        + [{"type": "string", "pattern": "a", "maxLength": 3}, {"pattern": 3}]),
    "format": (
        "`date`, `date-time`, `duration`, `email`, `hostname`, `ipv4`, `time`, `uri`, `uuid`",
        [{"type": "string", "format": f} for f in
         ("date", "date-time", "duration", "email", "hostname", "ipv4", "time", "uri", "uuid")],
        [{"type": "string", "format": "ipv6"}, {"type": "string", "format": "regex"}]),
    "minimum, maximum, exclusiveMinimum, exclusiveMaximum": (
        "bounds of up to 15 digits, for integers and numbers",
        [{"type": "integer", "minimum": 3, "maximum": 117}, {"type": "integer", "minimum": -20},
         {"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": 3},
         {"type": "integer", "maximum": 9223372036854775807, "minimum": 0},
         {"type": "number", "minimum": 0, "maximum": 1}, {"type": "number", "exclusiveMinimum": 0},
         {"type": "number", "minimum": -1.25, "exclusiveMaximum": 10.5},
         {"type": "number", "maximum": -0.001}],
        [{"type": "number", "minimum": 1e-17}, {"type": "integer", "minimum": "1"},
         {"type": "integer", "minimum": 5, "maximum": 4}]),
    "multipleOf": ("1", [{"type": "number", "multipleOf": 1}], [{"type": "integer", "multipleOf": 7}]),
    "anyOf": (
        "up to 1,000 branches, merged with what stands beside it",
        [{"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
         {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
          "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}],
        [{"anyOf": []}, {"anyOf": {}}]),
    "oneOf": (
        "where types, constants or a required member keep the branches apart",
        [{"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
         {"oneOf": [{"type": "object", "properties": {"kind": {"const": k}, k: {"type": "integer"}},
                     "required": ["kind", k]} for k in ("circle", "square")]}],
        [{"oneOf": [{"type": "integer"}, {"type": "number"}]},
         {"oneOf": [{"type": "object"}, {"type": "object"}]}]),
    "allOf": (
        "merged; refused where the parts cannot be",
        [{"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 8}]},
         {"allOf": [{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}]}],
        [{"allOf": [{"type": "integer"}, {"type": "string"}]},
         {"allOf": [{"type": "string", "pattern": "a"}, {"pattern": "b"}]},
         {"allOf": [{"properties": {"a": {}}, "additionalProperties": False},
                    {"properties": {"b": {}}}]}]),
    "$ref, $defs": (
        "within the schema, recursion too",
        [{"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer"}, "next": {
            "anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["v", "next"]}},
          "$ref": "#/$defs/n"},
         {"type": "object", "properties": {"k": {"type": "array", "items": {"$ref": "#"}}}},
         {"definitions": {"a/b": {"type": "null"}}, "type": "object",
          "properties": {"x": {"$ref": "#/definitions/a~1b"}}}],
        [{"$ref": "#"}, {"$ref": "#/$defs/none"}, {"$ref": "https://example.com/schema"},
         {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}]),
    "title, description, default, examples and other annotations": (
        "constrain nothing", [{"title": "t", "description": "d", "default": 1, "type": "integer"}], []),
    "true, false": ("any value; none", [True, {}], [False]),
    "all others, such as not, if, contains, uniqueItems, patternProperties, dependentRequired": (
        "refused", [],
        [{"not": {}}, {"if": {}}, {"type": "array", "uniqueItems": True}, {"patternProperties": {}},
         {"type": "array", "contains": {}}, {"dependentRequired": {}}, {"maxlength": 3},
         {"propertyNames": {}}, {"unevaluatedProperties": False}, {"$dynamicRef": "#a"}]),
}


def table():
    lines = ["| keyword | what is enforced |", "|---|---|"]
    for keyword, (enforced, _, _) in TABLE.items():
        names = ", ".join(f"`{name}`" for name in keyword.split(", ")) if " and " not in keyword \
            and "such" not in keyword else keyword
        lines.append(f"| {names} | {enforced} |")
    return "\n".join(lines) + "\n"


def accepted():
    return [json.dumps(schema) for _, schemas, _ in TABLE.values() for schema in schemas]


def refused():
    return [json.dumps(schema) for _, _, schemas in TABLE.values() for schema in schemas]


def main():
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    right = before + BEGIN + table() + END + after
    if sys.argv[1:] == ["--check"]:
        if text != right:
            sys.exit("The table of docs/structured-output.md is stale: run "
                     "tests/grammar/schema_table.py.")
    else:
        DOCUMENT.write_text(right)


if __name__ == "__main__":
    main()
