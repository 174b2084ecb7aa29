"""Labels, tags and annotations are anybody's to write: what is not our mark is no mark, and never an error."""

from __future__ import annotations

import json
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.rotation.store import MANAGED_BY, StoreMark
from featurebase_provider.stores.kubernetes_secret import KubernetesSecretStore
from featurebase_provider.stores.kubernetes_secret.armed import ArmedKubernetesSecret
from featurebase_provider.stores.shared.marks import AWS_TAGS, LABELS, S3_METADATA, VAULT_METADATA
from tests.properties.any_json import anything, spoilt
from tests.properties.profile import tries
from tests.world.fakes import WEBHOOK_ID, fingerprint

FACTS = ("webhook-id", "fingerprint", "managed-from", "managed-by")
PRINT = fingerprint("0")
CODECS = (LABELS, AWS_TAGS, S3_METADATA, VAULT_METADATA)

texts = st.text(max_size=12) | st.sampled_from(
    ["", WEBHOOK_ID, PRINT, MANAGED_BY, "%", "%ff", "=", "=XX", "=E2=82", "\x00", "a" * 300, "https://a.example"]
)
labels = st.dictionaries(st.sampled_from([f"featurebase-{fact}" for fact in FACTS]) | st.text(max_size=6), texts)
marks = st.builds(
    StoreMark,
    st.just(WEBHOOK_ID),
    st.just(PRINT),
    st.text(min_size=1, max_size=60, alphabet=st.characters(exclude_categories=["Cs", "Cc"])),
)


@tries(400)
@given(labels)
def test_any_labels_are_a_mark_or_none(found: dict[str, str]) -> None:
    plain = {key.removeprefix("featurebase-"): value for key, value in found.items() if key.startswith("featurebase-")}
    complete = all(plain.get(fact) for fact in FACTS) and plain["managed-by"] == MANAGED_BY
    for codec in CODECS:
        mark = codec.mark_in(found)
        assert mark is None or (complete and mark.managed_by == MANAGED_BY)


@tries(200)
@given(marks)
def test_a_mark_reads_back(mark: StoreMark) -> None:
    for codec in CODECS:
        texts = codec.texts_of(mark)
        if codec.longest is None or all(len(text) < codec.longest for text in texts.values()):
            assert codec.mark_in(texts) == mark


class NothingElse:
    """A Kubernetes API with one Secret in it, whose annotation is somebody's."""

    def __init__(self, note: str) -> None:
        self.note = note

    def secret(self, name: str) -> dict[str, object]:
        annotation = "airflow-provider-featurebase/KEY"
        return {"metadata": {"annotations": {annotation: self.note}, "resourceVersion": "1"}, "data": {"KEY": "dw=="}}


NOTE = {"webhook_id": WEBHOOK_ID, "fingerprint": PRINT, "managed_from": "here", "managed_by": MANAGED_BY}
notes = st.one_of(
    st.text(max_size=20), anything.map(json.dumps), spoilt(NOTE).map(json.dumps), st.just("[" * 20_000), st.just("NaN")
)


@tries(300)
@given(notes)
def test_any_annotation_is_a_note_or_none(note: str) -> None:
    armed = ArmedKubernetesSecret(
        "k8s",
        lambda: NothingElse(note),  # type: ignore[arg-type, return-value]
        secret="webhook",
        keys=("KEY", None),
        text=KubernetesSecretStore(namespace="n", name="webhook", key="KEY").entry_text(create=False),
        create=False,
        shared=False,
        restart=(),
        spread=timedelta(0),
    )
    held = armed.read()
    assert held.shown == fingerprint_of("w")
    assert held.mark is None or held.mark.managed_by == MANAGED_BY
