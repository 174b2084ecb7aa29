"""How Sphinx builds the documentation site: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "provider"))

from featurebase_provider import __version__  # noqa: E402 - the path comes first

project = "airflow-provider-featurebase"
author = copyright = "The authors of airflow-provider-featurebase"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
# The pages link to README and SECURITY as they lie in the repository, so the whole of it is the source.
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**"]
exclude_patterns = [".*", "build", "dist", "dev", "provider", "tests", "scripts", "constraints"]
html_extra_path = ["site"]

myst_heading_anchors = 4
# A generated page begins with chapters of the third level, and no lexer knows all that "hcl" and "sql" may hold.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autoclass_content = "both"

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sphinx = False


def show_tree(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Show the tree of errors that begins a module as it is written."""
    if any("├──" in line for line in lines):
        first = next(number for number, line in enumerate(lines) if "├──" in line) - 1
        lines[first:] = ["::", "", *(f"    {line}" for line in lines[first:])]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", show_tree)
