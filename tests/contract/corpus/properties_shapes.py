r""".properties files as people have them: Spring, Gradle, Log4j, Kafka; separators, escapes, continuation lines."""

from __future__ import annotations

from tests.contract.corpus.shape import THEIRS, Shape

KEY, PREVIOUS = ("featurebase", "webhook", "secret"), ("featurebase", "webhook", "previous-secret")
OURS = "featurebase.webhook.secret"


def shape(name: str, text: str, refused: str = "") -> Shape:
    return Shape(f"{name}.properties", text, KEY, PREVIOUS, refused=refused)


EDITED = [
    shape(
        "application",
        f"spring.application.name=feedback\nserver.port=8080\n\n# webhooks\n{OURS}=<old>\nlogging.level.root=INFO\n",
    ),
    shape(
        "application-prod",
        f"spring.datasource.url=jdbc:postgresql://db/app?a=b\n{OURS}=<old>\n"
        "spring.config.import=optional:file:.env[.properties]\n",
    ),
    shape("colons", f"a: 1\n{OURS}: <old>\nb:2\n"),
    shape("blanks", f"a 1\n{OURS}   <old>\nb\t2\n"),
    shape("spaced", f"a = 1\n{OURS} = <old>\n  b = 2\n"),
    shape("windows", f"a=1\r\n{OURS}=<old>\r\n\r\nb=2\r\n"),
    shape("no-final-newline", f"a=1\n{OURS}=<old>"),
    shape("continued-neighbours", f"classpath=a.jar:\\\n    b.jar:\\\n    c.jar\n{OURS}=<old>\nhosts=x,\\\n\ty\n"),
    shape("continued-ours", f"a=1\n{OURS}=\\\n    <old>\nb=2\n"),
    shape("comments", f"! old style\n  # {OURS}=x\n{OURS}=<old>\n#end \\\n"),
    shape("escapes", f"greeting=Tere\\u00b2 \\u2600\npath=C:\\\\app\\\\data\nmy\\ key\\:x=v\n{OURS}=<old>\n"),
    shape("escaped-name", "featurebase\\.webhook\\.secret=<old>\na=1\n"),
    shape("unicode", f"nimi=Õie ☀\n{OURS}=<old>\n"),
    shape("hash-in-value", f"color=#fff\nbang=a!b\n{OURS}=<old>\n"),
    shape("empty-value", f"a=1\n{OURS}=\nb=2\n"),
    shape("name-only", f"a=1\n{OURS}\nb=2\n"),
    shape("missing", "a=1\nb=2\n"),
    shape("missing-after-comment", "a=1\n# the end \\"),
    shape("missing-windows", "a=1\r\nb=2"),
    shape("empty", ""),
    shape("both", f"featurebase.webhook.previous-secret=<before>\na=1\n{OURS}=<old>\n"),
    shape("twice-alike", f"{OURS}=<old>\na=1\n{OURS} : <old>\n"),
    shape("documents", f"a=1\n{OURS}=<old>\n#---\nspring.config.activate.on-profile=dev\na=2\n"),
    shape("placeholders", f"base=/srv\ndata=${{base}}/data\n{OURS}=<old>\ncopy=${{{OURS}}}\n"),
    shape("gradle", f"org.gradle.jvmargs=-Xmx2g -Dfile.encoding\\=UTF-8\n{OURS}=<old>\norg.gradle.parallel=true\n"),
    shape("log4j", f"rootLogger.level = info\nappender.c.layout.pattern = %d{{ISO8601}} %m%n\n{OURS}=<old>\n"),
]

REFUSED = [
    shape("two-values", f"{OURS}={THEIRS}\na=1\n{OURS}=<old>\n", "lines 1 and 3 define"),
    shape("documents-differ", f"{OURS}={THEIRS}\n#---\n{OURS}=<old>\n", "lines 1 and 3 define"),
    shape("documents-missing", f"a={THEIRS}\n#---\na=2\n", "line 2 begins another document"),
    shape("name-over-lines", f"featurebase.web\\\n  hook.secret={THEIRS}\n", "line 1 begins a key that goes on"),
    shape("bad-escape", f"a=1\nb=\\u12\n{OURS}={THEIRS}\n", "line 2 has a \\u"),
    shape("marked", f"\ufeff{OURS}={THEIRS}\n", "byte order mark"),
    shape("last-backslash", f"a={THEIRS}\\", "ends in a backslash"),
    shape("binary", f"a=\0{THEIRS}\n", "binary data"),
]
