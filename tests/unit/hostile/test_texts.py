"""Other people's texts where Airflow renders them: a Dag's page, a task's link, a template field, a stat's tags."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment
from markdown_it import MarkdownIt

from featurebase_provider.airflow_compat.stats import _stat_tags
from featurebase_provider.config import WebhookConfig
from featurebase_provider.dag_factory.texts import markdown_safe, rotation_doc, template_safe
from featurebase_provider.operators.base import FeaturebaseOperator
from featurebase_provider.operators.links import FeaturebaseWebhookLink

MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![image](https://evil.example/pixel.png)",
    "https://evil.example/",
    "www.evil.example",
    "<https://evil.example>",
    "a@evil.example",
    "**bold** _it_ `code` ~~gone~~ &lt;b&gt;",
    "| cell | cell |\n| --- | --- |\n# heading\n\n* item",
    "$$x$$ :smile: ^sup^",
    "trailing \\",
]
PLAIN = {"p", "em", "strong", "code", "h3", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}


class Tags(HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def markdown() -> MarkdownIt:
    """As Airflow's page has it: CommonMark with tables and struck text; HTML too, which is worse than Airflow."""
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


@pytest.mark.parametrize("text", MARKUP)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    page = Tags(markdown().render(f"before {markdown_safe(text)} after"))
    assert page.elements == ["p"]
    assert " ".join(page.text.split()) == " ".join(f"before {text} after".split())


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_an_element(text: str) -> None:
    assert Tags(markdown().render(f"before {markdown_safe(text)} after")).elements == ["p"]


@pytest.mark.parametrize("text", MARKUP)
def test_a_dags_page_is_made_of_our_own_elements(text: str) -> None:
    """The webhook's name at Featurebase is the one text of others in it."""
    store = {"type": "airflow_variable", "name": "signing"}
    config = WebhookConfig.model_validate({"name": "x", "webhook_name": text[:100], "stores": [store]})
    page = Tags(markdown().render(rotation_doc(config)))
    assert set(page.elements) <= PLAIN
    assert page.elements.count("table") == 1


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_a_template_safe_text_renders_to_itself(text: str) -> None:
    for hostile in (text, f"{text}{{{{ 7 * 7 }}}}{text}", "{%" + text, "{#" + text, "{{ '" + text):
        rendered = SandboxedEnvironment(keep_trailing_newline=True).from_string(template_safe(hostile)).render()
        assert rendered == hostile


def test_an_ordinary_name_is_left_as_it_is() -> None:
    assert template_safe("Production Webhook") == "Production Webhook"


@pytest.mark.parametrize(
    ("url", "webhook_id", "link"),
    [
        ("https://acme.example/w/{webhook_id}", "5a", "https://acme.example/w/5a"),
        ("https://acme.example/w/{webhook_id}", "../../x?y#z", "https://acme.example/w/..%2F..%2Fx%3Fy%23z"),
        ("https://acme.example/w/{webhook_id}", '"><script>', "https://acme.example/w/%22%3E%3Cscript%3E"),
        ("http://acme.example/", "5a", ""),
        ("javascript:alert(1)", "5a", ""),
        ("https://acme.example/\u202e", "5a", ""),
        ("{webhook_id}", "javascript:alert(1)", ""),
    ],
)
def test_a_tasks_link_is_https_and_its_id_one_part_of_it(url: str, webhook_id: str, link: str) -> None:
    operator: Any = FeaturebaseOperator(task_id="t", webhook_id=webhook_id, dashboard_url=url)
    assert FeaturebaseWebhookLink().get_link(operator, ti_key=None) == link  # type: ignore[arg-type]


def test_a_stats_tag_ends_no_line_and_no_field() -> None:
    """StatsD's protocol is text: a name out of the trigger form must not count anything else."""
    assert _stat_tags({"webhook": "x\nfake:1|c,a=b", "result": "done"}) == {
        "webhook": "x_fake_1_c_a_b",
        "result": "done",
    }
    assert len(_stat_tags({"webhook": "x" * 1000})["webhook"]) == 100
