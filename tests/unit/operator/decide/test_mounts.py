"""The words for pods that cannot start because a Secret, or something else, cannot be mounted."""

from __future__ import annotations

import pytest
from tests.support.operator_targets import target

from realtime_operator.decide import mounts
from realtime_operator.snapshot import CREATING_SECONDS, Pod, Snapshot, being_created
from realtime_operator.status import reasons

TARGET = target(
    {
        "auth": {"stack": "jwt", "jwt": {"secretRef": {"name": "jwt", "key": "hmac"}}},
        "channelLayer": {"encryptionKeysSecretRef": {"name": "layer", "key": "keys"}},
    }
)
HEAD = 'MountVolume.SetUp failed for volume "secrets" : '
POD = Pod("chat-1", "u1", ready=False, creating=True)


def said(note: str, pod: Pod = POD) -> tuple[str, str] | None:
    snapshot = Snapshot(pods=(("gateway", pod),), failed_mounts={pod.name: note} if note else {})
    (*found,) = mounts.failed(TARGET, snapshot).findings
    return (found[0].reason, found[0].message) if found else None


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (
            f'{HEAD}secret "layer" not found',
            ("There is no Secret layer", "kubectl -n talk create secret generic layer --from-file=keys=FILE"),
        ),
        (f"{HEAD}references non-existent secret key: keys", ("Secret layer has no key keys",)),
        (
            f'{HEAD}[secret "jwt" not found, references non-existent secret key: keys]',
            ("There is no Secret jwt", "Secret layer has no key keys"),
        ),
    ],
)
def test_a_secret_that_is_missing_is_named_with_its_key_and_what_to_do(note: str, words: tuple[str, ...]) -> None:
    found = said(note)
    assert found is not None
    assert found[0] == reasons.SECRET_MISSING
    assert found[1].startswith("Pod chat-1 cannot start. ")
    assert all(word in found[1] for word in words)


@pytest.mark.parametrize(
    "note",
    [
        'MountVolume.SetUp failed for volume "own" : secret "layer" not found',
        f"{HEAD}failed to sync secret cache: timed out waiting for the condition",
        f"{HEAD}references non-existent secret key: keys-of-another",
    ],
)
def test_anything_else_is_told_in_the_kubelets_words(note: str) -> None:
    assert said(note) == (reasons.MOUNT_FAILED, f"Pod chat-1 cannot start: {note}")


def test_a_pod_that_may_yet_start_is_no_news_and_is_looked_at_again() -> None:
    assert said("") is None
    verdict = mounts.failed(TARGET, Snapshot(pods=(("gateway", POD),)))
    assert verdict.facts == {being_created(POD)}
    assert verdict.look_again_seconds == CREATING_SECONDS


def test_a_pod_that_has_started_or_is_to_go_is_no_news() -> None:
    for pod in (Pod("chat-1", "u1", ready=False), Pod("chat-1", "u1", ready=False, creating=True, deleting=True)):
        assert said(f'{HEAD}secret "layer" not found', pod) is None
        assert mounts.failed(TARGET, Snapshot(pods=(("gateway", pod),))).look_again_seconds is None
