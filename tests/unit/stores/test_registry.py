from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from featurebase_provider.featurebase.errors import FeaturebaseError
from featurebase_provider.stores.base import StoreConfig
from featurebase_provider.stores.plug_ins import StorePluginBroken, UnknownStoreType
from featurebase_provider.stores.registry import BUILT_IN, store_class, store_types

if TYPE_CHECKING:
    from pathlib import Path

GOOD_PLUGIN = """
from typing import Literal
from featurebase_provider.stores.base import StoreConfig

class PaperStore(StoreConfig):
    type: Literal["paper"] = "paper"

    @property
    def target(self) -> str:
        return "paper:drawer"

    def arm(self):
        raise NotImplementedError
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with a store type on the path, as an installer would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)

    def install(source: str, entry: str, distribution: str = "acme-stores") -> None:
        module = entry.partition("=")[2].partition(":")[0].strip()
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[featurebase_provider.stores]\n{entry}\n")

    yield install
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_type_exists_under_its_own_name(name: str) -> None:
    assert store_class(name).model_fields["type"].default == name
    assert name in store_types()


def test_unknown_type_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownStoreType) as caught:
        store_class("vualt")
    assert "'vualt'" in str(caught.value)
    assert all(name in str(caught.value) for name in store_types())
    assert isinstance(caught.value, FeaturebaseError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_plug_in_is_found_without_any_change_here(install: Install) -> None:
    install(GOOD_PLUGIN, "paper = acme_paper:PaperStore")
    assert "paper" in store_types()
    found = store_class("paper")
    assert issubclass(found, StoreConfig)
    assert found(type="paper").full_name == "paper (paper:drawer)"
    assert (found(type="paper").keeps_previous, found(type="paper").previous_target) == (False, None)


def test_a_plug_in_may_keep_a_previous_secret_and_not_say_where(install: Install) -> None:
    """As those do that were written before there was a name for the place."""
    keeping = "\n    @property\n    def keeps_previous(self) -> bool:\n        return True\n"
    install(GOOD_PLUGIN + keeping, "paper = acme_older_paper:PaperStore")
    found = store_class("paper")(type="paper")
    assert (found.keeps_previous, found.previous_target) == (True, None)


@pytest.mark.parametrize(
    ("source", "entry", "problem"),
    [
        ("import acme_client_that_is_missing", "paper = acme_a:PaperStore", "ModuleNotFoundError"),
        ("", "paper = acme_b:PaperStore", "AttributeError"),
        ("raise RuntimeError('at import')", "paper = acme_c:PaperStore", "RuntimeError"),
        ("PaperStore = print", "paper = acme_d:PaperStore", "no subclass"),
        (GOOD_PLUGIN, "parchment = acme_e:PaperStore", "does not declare"),
    ],
)
def test_a_broken_plug_in_is_named(install: Install, source: str, entry: str, problem: str) -> None:
    install(source, entry)
    with pytest.raises(StorePluginBroken) as caught:
        store_class(entry.partition(" ")[0])
    text = str(caught.value)
    assert "acme-stores" in text
    assert entry in text
    assert problem in text


def test_two_distributions_cannot_offer_one_type(install: Install) -> None:
    install(GOOD_PLUGIN, "paper = acme_one:PaperStore")
    install(GOOD_PLUGIN, "paper = acme_two:PaperStore", "other-stores")
    with pytest.raises(StorePluginBroken, match="another distribution offers it too"):
        store_class("paper")


def test_a_plug_in_cannot_replace_a_built_in_type(install: Install) -> None:
    install(GOOD_PLUGIN, "object_storage = acme_shadow:PaperStore")
    assert store_class("object_storage").__module__ == "featurebase_provider.stores.object_storage"
    assert store_types().count("object_storage") == 1


def test_naming_types_and_configuring_stores_imports_no_client() -> None:
    """What a Dag file reads at parse time stays light."""
    script = (
        "import sys\n"
        "from featurebase_provider.stores.registry import store_class, store_types\n"
        "for name in store_types(): store_class(name)\n"
        "store_class('object_storage')(path='s3://bucket/key.json')\n"
        "store_class('airflow_variable')(name='signing')\n"
        "print(*(name.partition('.')[0] for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not {"airflow", "boto3", "botocore", "s3fs", "fsspec", "dotenv"} & set(done.stdout.split())
