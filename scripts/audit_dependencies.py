"""Audits what the project is built on and run with: the pins of constraints.txt, and what is installed from them.

Local checks, which fail the audit: the installed set is consistent and is what the pins say, every dependency states a
licence, and none of ours has an upper bound that would hold back an Airflow. Then known vulnerabilities, asked of uv's
advisory service. Where that can't be reached, the audit says so and passes, unless FEATUREBASE_AUDIT=required.

Usage: python scripts/audit_dependencies.py [--local]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
OURS = "airflow-provider-featurebase"
NO_LICENCE = "not stated"


def pins(text: str) -> list[Requirement]:
    """The requirements of a constraints file."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def licence_of(found: metadata.PackageMetadata) -> str:
    """What a package says of its licence: an expression, a classifier, or the first words of a text."""
    given = found.get("License-Expression")
    classifiers = [one.rpartition(" :: ")[2] for one in found.get_all("Classifier") or () if one.startswith("License")]
    first_line = (found.get("License") or "").strip().partition("\n")[0]
    text = given or " / ".join(classifiers) or first_line[:40]
    return NO_LICENCE if text.upper() in ("", "UNKNOWN") else text


def upper_bounds(found: metadata.PackageMetadata) -> Iterator[str]:
    """Requirements of ours that exclude versions to come."""
    for line in found.get_all("Requires-Dist") or ():
        requirement = Requirement(line)
        if any(one.operator in ("<", "<=", "==", "~=", "===") for one in requirement.specifier):
            yield str(requirement)


def local_faults(constraints: list[Requirement]) -> Iterator[str]:
    """Everything that is wrong with what is installed here."""
    wanted = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in constraints
        if pin.marker is None or pin.marker.evaluate()
    }
    licences: Counter[str] = Counter()
    for found in metadata.distributions():
        name = canonicalize_name(found.metadata["Name"])
        if name == OURS:
            yield from (f"{OURS} holds back {bound}" for bound in upper_bounds(found.metadata))
        elif name in wanted:
            licences[licence_of(found.metadata)] += 1
            if found.version != wanted[name]:
                yield f"{name} {found.version} is installed, {wanted[name]} is pinned"
            if licence_of(found.metadata) == NO_LICENCE:
                yield f"{name} {found.version} states no licence"
    print(f"{licences.total()} of {len(wanted)} pinned packages are installed; their licences:")
    for licence, count in licences.most_common():
        print(f"  {count:4} {licence}")
    checked = subprocess.run([UV, "pip", "check", "--python", sys.executable], capture_output=True, text=True)  # noqa: S603  our own uv
    if checked.returncode:
        yield f"uv pip check: {checked.stderr.strip()}"


def advisories(constraints: list[Requirement]) -> tuple[list[str], str]:
    """Known vulnerabilities of the pins, or why they could not be had."""
    listed = "\n".join(f'#     "{str(pin).replace(chr(34), chr(39))}",' for pin in constraints)
    header = f'# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n{listed}\n# ]\n# ///\n'
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "pins.py")
        script.write_text(header)
        command = [UV, "audit", "--preview", "--output-format", "json", "--script", script]
        asked = subprocess.run(command, capture_output=True, text=True, cwd=folder)  # noqa: S603  our own uv
    try:
        return list(found_in(json.loads(asked.stdout))), ""
    except (ValueError, KeyError):
        reasons = re.findall(r"(?:error|cause): (.+)", asked.stderr)
        return [], "; ".join(reasons[:1] + reasons[-1:]) or f"uv audit ended with {asked.returncode}"


def found_in(answer: Any) -> Iterator[str]:
    """The advisories in uv's answer, each named with its package."""
    for one in answer["vulnerabilities"]:
        package, fixed = one["dependency"], ", ".join(one["fix_versions"]) or "no version"
        yield f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed}: {one['summary']}"


def main(arguments: list[str]) -> int:
    """Print what was found; 1 if there is anything to mend."""
    constraints = pins((ROOT / "constraints.txt").read_text())
    faults = list(local_faults(constraints))
    if "--local" not in arguments:
        known, unavailable = advisories(constraints)
        faults += known
        if unavailable:
            print(f"KNOWN VULNERABILITIES WERE NOT LOOKED UP: {unavailable}")
            if os.environ.get("FEATUREBASE_AUDIT") == "required":
                faults.append("the advisory service could not be asked, and FEATUREBASE_AUDIT=required")
        elif not known:
            print(f"No known vulnerability in {len(constraints)} pins")
    for fault in faults:
        print(f"! {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
