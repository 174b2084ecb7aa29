"""JSON files as people have them: settings of .NET, Node and others, with tabs, marks, escapes, and all on one line."""

from __future__ import annotations

from tests.contract.corpus.shape import THEIRS, Shape

NESTED, NESTED_BEFORE = ("featurebase", "webhook", "secret"), ("featurebase", "webhook", "previousSecret")

EDITED = [
    Shape(
        "appsettings.json",
        '\ufeff{\r\n  "Logging": {\r\n'
        '    "LogLevel": { "Default": "Information" }\r\n  },\r\n'
        '  "Featurebase": {\r\n    "SigningSecret": "<old>",\r\n'
        '    "TimeoutMs": 5000\r\n  },\r\n'
        '  "AllowedHosts": "*"\r\n}\r\n',
        ("Featurebase", "SigningSecret"),
        ("Featurebase", "PreviousSigningSecret"),
    ),
    Shape(
        "package.json",
        '{\n\t"name": "portal",\n\t"version": "1.10.0",\n\t"config": {\n'
        '\t\t"secret": "<old>"\n\t},\n'
        '\t"scripts": {"start": "node ."}\n}\n',
        ("config", "secret"),
        ("config", "previous"),
    ),
    Shape("minified.json", '{"a":1,"b":[true,null,"x"],"current":"<old>","z":{"y":"<"}}', ("current",), ("previous",)),
    Shape("nested.json", '{"featurebase": {"webhook": {"secret": "<old>", "id": 7}}}\n', NESTED, NESTED_BEFORE),
    Shape("unicode.json", '{\n  "nimi": "Õie ☀ 😀",\n  "current": "<old>"\n}\n', ("current",), ("previous",)),
    Shape("escapes.json", '{"a": "\\u00f5\\n\\"", "\\u0063urrent": "<old>", "b": "\\/"}', ("current",), ("previous",)),
    Shape(
        "numbers.json",
        '{"a": 1.10, "b": 1e3, "c": -0, "d": 12345678901234567890, "current": "<old>"}',
        ("current",),
        ("previous",),
    ),
    Shape("no-final-newline.json", '{\n    "current": "<old>"\n}', ("current",), ("previous",)),
    Shape("both.json", '{"previous": "<before>", "a": 1, "current": "<old>"}\n', ("current",), ("previous",)),
    Shape("null.json", '{\n  "current": null,\n  "a": 1\n}\n', ("current",), ("previous",)),
    Shape("missing.json", '{\n  "a": 1,\n  "b": 2\n}\n', ("current",), ("previous",)),
    Shape("missing-objects.json", '{"featurebase": {"id": 7}}', NESTED, NESTED_BEFORE),
    Shape("empty-object.json", "{}\n", NESTED, NESTED_BEFORE),
    Shape("empty.json", "", ("current",), ("previous",)),
    Shape(
        "dotted-name.json",
        '{"featurebase.secret": "<old>", "featurebase": {"id": 1}}',
        ("featurebase.secret",),
        ("featurebase.old",),
    ),
    Shape(
        "composer.json",
        '{\n    "require": {\n        "php": ">=8.2"\n    },\n    "extra": {"secret":"<old>" ,"a" : 1}\n}\n',
        ("extra", "secret"),
        ("extra", "old"),
    ),
    Shape(
        "list-inside.json", '{"hosts": [{"secret": "x"}, {"secret": "y"}], "secret": "<old>"}', ("secret",), ("old",)
    ),
]

REFUSED = [
    Shape("comments.json", f'{{\n  // ours\n  "current": "{THEIRS}"\n}}\n', ("current",), refused="valid JSON"),
    Shape("trailing-comma.json", f'{{"current": "{THEIRS}",}}', ("current",), refused="valid JSON"),
    Shape("twice.json", f'{{"current": "{THEIRS}", "current": "b"}}', ("current",), refused="'current' twice"),
    Shape("number.json", '{"current": 51961}', ("current",), refused="holds a number"),
    Shape("array.json", f'["{THEIRS}"]', ("current",), refused="no JSON object"),
    Shape("no-object.json", f'{{"featurebase": "{THEIRS}"}}', NESTED, refused="'featurebase' holds a text"),
    Shape("two-values.json", f'{{"current": "{THEIRS}"}}\n{{}}\n', ("current",), refused="valid JSON"),
]
