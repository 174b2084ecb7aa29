"""Labels, tags and annotations are anybody's to write: what is not our mark is no mark, and never an error."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from featurebase_provider.featurebase.signing_secret import fingerprint_of
from featurebase_provider.rotation.store import MANAGED_BY, StoreMark
from featurebase_provider.stores.hashicorp_vault import armed as vault_secret
from featurebase_provider.stores.kubernetes_secret import KubernetesSecretStore
from featurebase_provider.stores.kubernetes_secret.armed import ArmedKubernetesSecret
from featurebase_provider.stores.object_storage import s3 as s3_object
from featurebase_provider.stores.shared import aws_mark, mark_labels
from tests.properties.any_json import anything, spoilt
from tests.properties.profile import tries
from tests.unit.rotation.fakes import WEBHOOK_ID, fingerprint

FACTS = ("webhook-id", "fingerprint", "managed-from", "managed-by")
PRINT = fingerprint("0")

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
    tags = [{"Key": key, "Value": value} for key, value in found.items()]
    plain = {key.removeprefix("featurebase-"): value for key, value in found.items() if key.startswith("featurebase-")}
    complete = all(plain.get(fact) for fact in FACTS) and plain["managed-by"] == MANAGED_BY
    for mark in (
        mark_labels.mark_in(found, fingerprint=PRINT),
        aws_mark.mark_in(tags),
        s3_object._mark_in(found),
        vault_secret._mark_in(found),
    ):
        assert mark is None or (complete and mark.managed_by == MANAGED_BY)


@tries(200)
@given(marks)
def test_a_mark_reads_back(mark: StoreMark) -> None:
    labels_of, tags_of = mark_labels.labels_of(mark), aws_mark.tags_of(mark)
    assert mark_labels.mark_in(labels_of, fingerprint=PRINT) == mark
    if all(len(tag["Value"]) < 256 for tag in tags_of):
        assert aws_mark.mark_in(tags_of) == mark
    assert s3_object._mark_in(s3_object._metadata_of(mark)) == mark


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
    store = KubernetesSecretStore(
        type="kubernetes_secret", conn_id="k8s", namespace="apps", name="webhook", key="KEY", label="k8s"
    )
    held = ArmedKubernetesSecret(store, lambda: NothingElse(note)).read()  # type: ignore[arg-type, return-value]
    assert held.shown == fingerprint_of("w")
    assert held.mark is None or held.mark.managed_by == MANAGED_BY
