"""YAML files as people have them: Spring, Helm, Rails, Kubernetes, Compose, Ansible."""

from __future__ import annotations

from tests.contract.corpus.shape import THEIRS, Shape

KEY, PREVIOUS = ("featurebase", "webhook", "secret"), ("featurebase", "webhook", "previousSecret")
TOP, TOP_PREVIOUS = ("secret",), ("previous",)
DATA, DATA_PREVIOUS = ("data", "FEATUREBASE_WEBHOOK_SECRET"), ("data", "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS")


def top(name: str, text: str, refused: str = "") -> Shape:
    return Shape(name, text, TOP, TOP_PREVIOUS, refused=refused)


def nested(name: str, text: str, refused: str = "") -> Shape:
    return Shape(name, text, KEY, PREVIOUS, refused=refused)


EDITED = [
    nested(
        "application-prod.yml",
        "spring:\n  datasource:\n    url: jdbc:postgresql://db/app\n"
        "    password: ${DB_PASSWORD:}\n\nfeaturebase:\n  webhook:\n"
        "    secret: <old>   # rotated by Airflow\n"
        "    id: 507f1f77bcf86cd799439011\nserver:\n  port: 8080\n",
    ),
    nested(
        "helm/values.yaml",
        "# Default values\nreplicaCount: 2\nimage:\n"
        '  repository: registry.example/app\n  tag: "1.10"\nresources: {}\n'
        "featurebase:\n  webhook:\n    # -- signs deliveries\n"
        '    secret: "<old>"\ntolerations: []\n',
    ),
    Shape(
        "rails/config/featurebase.yml",
        "default: &default\n  host: https://do.featurebase.app\n  retries: 3\n"
        "\nproduction:\n  <<: *default\n  secret: '<old>'\n",
        ("production", "secret"),
        ("production", "previous_secret"),
    ),
    Shape(
        "k8s/configmap.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\n"
        "  labels: {app: feedback, tier: web}\ndata:\n  LOG_LEVEL: info\n"
        "  FEATUREBASE_WEBHOOK_SECRET: <old>\n  app.conf: |\n    a = 1\n"
        "    b = 2\n",
        DATA,
        DATA_PREVIOUS,
    ),
    Shape(
        "k8s/secret.yaml",
        '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ntype: Opaque\nstringData:\n  secret: "<old>"\n',
        ("stringData", "secret"),
        ("stringData", "previous"),
    ),
    Shape(
        "docker-compose.yml",
        'services:\n  web:\n    image: app:1\n    ports:\n    - "80:80"\n'
        "    environment:\n      FEATUREBASE_WEBHOOK_SECRET: <old>\n"
        "      TZ: Europe/Tallinn\n    depends_on: [db]\n  db:\n"
        "    image: postgres:16\n",
        ("services", "web", "environment", "FEATUREBASE_WEBHOOK_SECRET"),
        ("services", "web", "environment", "FEATUREBASE_WEBHOOK_SECRET_PREVIOUS"),
    ),
    top(
        "ansible/vars.yml",
        "---\n# group_vars/all\napp_user: feedback\nsecret: <old>\npackages:\n  - nginx\n  - redis\n...\n",
    ),
    top("single-quoted.yml", "a: 'it''s'\nsecret: '<old>'\nb: \"x\\ty\"\n"),
    nested("windows.yml", "a: 1\r\nfeaturebase:\r\n  webhook:\r\n    secret: <old>\r\nb: 2\r\n"),
    top("bom.yml", "\ufeff# made on Windows\na: 1\nsecret: <old>\n"),
    top("no-final-newline.yml", "a: 1\nsecret: <old>"),
    top("comments.yml", "# secret: x\na: 1 # one\n\n# ours\nsecret: <old> # why\n  # odd\nb: 2\n#end"),
    nested("four-blanks.yml", 'featurebase:\n    webhook:\n        secret: "<old>"\n        id: 7\n'),
    top("flow.yml", "{a: 1, secret: <old>, b: [x, {y: z}]}\n"),
    nested("inline.yml", 'a: 1\nfeaturebase: {webhook: {secret: "<old>", id: 7}, on: 1}\nb: 2\n'),
    nested(
        "json-like.yml", '{\n  "featurebase": {\n    "webhook": {\n      "secret": "<old>"\n    }\n  },\n  "a": 1\n}\n'
    ),
    top(
        "blocks.yml",
        "script: |\n  set -e\n  secret: not this\n\ntext: >-\n  folded\n  text\nsecret: <old>\nkeep: |+\n  x\n\n",
    ),
    top("block-last.yml", "a: 1\ncert: |\n  -----BEGIN\n  x\n  -----END\n"),
    top("keep-last.yml", "a: 1\ncert: |+\n  x\n\n\n"),
    Shape(
        "dotted.yml",
        "featurebase.webhook.secret: <old>\nserver.port: 80\n",
        ("featurebase.webhook.secret",),
        ("featurebase.webhook.previous",),
    ),
    top("unicode.yml", "nimi: Õie ☀ 😀\nsecret: <old>\n'võti': \"ä\"\n"),
    top("empty-value.yml", "a: 1\nsecret:   # to be set\nb: 2\n"),
    top("null.yml", "a: ~\nsecret: null\nb: 2\n"),
    top("empty-quotes.yml", "a: 1\nsecret: ''\n"),
    top("missing.yml", "a: 1\nb:\n  - x\n  - y: z\n    q: 1\n"),
    nested("missing-mappings.yml", "a:\n   b: 1\n# tail\n"),
    nested("missing-in-braces.yml", "a: 1\nfeaturebase: {}\n"),
    nested("missing-before-a-comment.yml", "featurebase:\n  webhook:\n    id: 7\n\n  # other\n  other: 1\n"),
    nested("missing-windows.yml", "a: 1\r\nfeaturebase:\r\n  webhook:\r\n    id: 7"),
    top("empty.yml", ""),
    top("only-comments.yml", "# nothing yet\n"),
    top("only-a-marker.yml", "---\n# nothing yet\n"),
    top("both.yml", 'previous: "<before>"   # until tomorrow\na: 1\nsecret: "<old>"\n'),
    Shape(
        "elsewhere.yml",
        "current:\n  secret: <old>\nprevious:\n  secret: <before>\n",
        ("current", "secret"),
        ("previous", "secret"),
    ),
    top("trailing-blanks.yml", "a: 1   \nsecret: <old>   \n   \nb: 2\n"),
    top("anchors-elsewhere.yml", "base: &base {x: 1}\nuse:\n  <<: *base\n  y: 2\nlist: [*base]\nsecret: <old>\n"),
    top("tags-elsewhere.yml", "when: !!str 2024-01-01\nsecret: <old>\n"),
    top("on-the-next-line.yml", 'secret:\n  "<old>"\na: 1\n'),
    top("over-lines.yml", 'a: plain text\n  over lines\nb: "quoted\n  text"\nsecret: <old>\n'),
    top("words.yml", "a: yes\nb: 012\nc: 1_000\nd: 12:30:00\ne: 1e3\nsecret: <old>\n"),
    top("quoted-names.yml", '"a": 1\n\'secret\': <old>\n"on": 2\n'),
    top("directive.yml", "%YAML 1.1\n---\na: 1\nsecret: <old>\n"),
]

REFUSED = [
    top("alias.yml", f"a: &a {THEIRS}\nsecret: *a\n", "line 2: 'secret' is an alias"),
    top("anchor.yml", f"secret: &s {THEIRS}\nb: *s\n", "line 1: 'secret' has an anchor"),
    nested(
        "anchored-mapping.yml",
        f"featurebase: &f\n  webhook:\n    secret: {THEIRS}\nother: *f\n",
        "line 1: 'featurebase' has an anchor",
    ),
    nested(
        "merged.yml",
        f"base: &base\n  secret: {THEIRS}\nfeaturebase:\n  webhook:\n    <<: *base\n",
        "taken over from another mapping by <<",
    ),
    top("tag.yml", f"secret: !vault {THEIRS}\n", "a tag (!)"),
    top("documents.yml", f"secret: {THEIRS}\n---\nsecret: {THEIRS}\n", "2 YAML documents"),
    top("literal.yml", f"secret: |\n  {THEIRS}\n", "line 1: 'secret' holds a block of lines"),
    top("folded.yml", f"secret: >-\n  {THEIRS}\n", "line 1: 'secret' holds a block of lines"),
    top("number.yml", "secret: 51961\n", "line 1: 'secret' holds a number"),
    top("boolean.yml", "a: 1\nsecret: on\n", "line 2: 'secret' holds a boolean"),
    top("twice.yml", f"secret: {THEIRS}\na: 1\nsecret: b\n", "lines 1 and 3 both define 'secret'"),
    top("tabs.yml", f"a:\n\tb: 1\nsecret: {THEIRS}\n", "not valid YAML, see line 2"),
    top("list.yml", f"- secret: {THEIRS}\n", "no YAML mapping"),
    nested("no-mapping.yml", f"featurebase: {THEIRS}\n", "'featurebase' holds a text, not a mapping"),
    nested(
        "dotted-name.yml", f"featurebase.webhook:\n  secret: {THEIRS}\n", "spells 'featurebase.webhook' as one name"
    ),
    Shape(
        "compose-list.yml",
        f"services:\n  web:\n    environment:\n      - KEY={THEIRS}\n",
        ("services", "web", "environment", "KEY"),
        refused="'services.web.environment' holds a list",
    ),
    nested(
        "template.yaml", "featurebase:\n  webhook:\n    secret: {{ .Values.secret }}\n", "holds a mapping, not a text"
    ),
    top("block-without-end.yml", f"a: |\n  {THEIRS}", "without changing what stands beside it"),
    top("line-separator.yml", f'a: "x\u2028y"\nsecret: {THEIRS}\n', "line 1 has a character"),
    top("binary.yml", f"a: \0\nsecret: {THEIRS}\n", "character that YAML does not allow"),
    top("broken.yml", f"a: [1\nsecret: {THEIRS}\n", "not valid YAML"),
]
