"""Whether the auth stack of the resource is applied, a case per sentence."""

from __future__ import annotations

import pytest
from tests.support.operator_targets import target

from realtime_operator.decide import auth
from realtime_operator.snapshot import Fleet, Manifest, ObjectKey, Pod, Process, Snapshot, Unknown
from realtime_operator.status import reasons
from realtime_operator.target import Target

JWT = target({"auth": {"stack": "jwt", "jwt": {"jwksUrl": "https://example.com/keys"}}})
POD = Pod("chat-a", "u", True)
DONE = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
ROLLING = {**DONE, "replicas": 2}


def said(
    *processes: tuple[str, str | None], wanted: Target = JWT, pod: Pod = POD, status: Manifest | None = None
) -> str:
    """What is said of pods whose processes report these stacks."""
    fleet = Fleet(tuple(Process(name, 1, auth_stack=stack) for name, stack in processes))
    deployment = {"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": status or DONE}
    objects = {ObjectKey("Deployment", "chat"): deployment}
    verdict = auth.stack(wanted, Snapshot(objects=objects, pods=(("gateway", pod),), fleet=fleet))
    assert all(finding.reason == reasons.AUTH_NOT_APPLIED for finding in verdict.findings)
    return "".join(finding.message for finding in verdict.findings)


def test_pods_that_use_the_stack_are_in_order() -> None:
    assert said(("chat-a", "jwt")) == ""


def test_an_application_built_by_hand_is_named_with_its_pods() -> None:
    message = said(("chat-a", ""))
    assert "'jwt' has no effect: chat-a serve an application that gateway_application has not built" in message


@pytest.mark.parametrize("other", ["session", "custom"])
def test_a_stack_that_settings_or_code_name_is_said(other: str) -> None:
    assert f"serve with the auth stack {other!r}" in said(("chat-a", other))


def test_what_nobody_has_said_is_not_held_against_them() -> None:
    assert said(("chat-a", None)) == ""
    unknown = Snapshot(
        objects={ObjectKey("Deployment", "chat"): {"metadata": {}, "spec": {}}},
        pods=(("gateway", POD),),
        fleet=Unknown("no shard answers"),
    )
    assert auth.stack(JWT, unknown).findings == ()


@pytest.mark.parametrize("processes", [(("chat-a", "jwt"), ("chat-a", "")), (("chat-a", ""), ("chat-a", "jwt"))])
def test_a_command_beside_the_server_of_a_pod_does_not_count(processes: tuple[tuple[str, str], ...]) -> None:
    assert said(*processes) == ""


def test_workers_and_pods_that_end_do_not_count() -> None:
    assert said(("chat-worker-1", "")) == ""
    assert said(("chat-a", ""), pod=Pod("chat-a", "u", True, deleting=True)) == ""


def test_nothing_is_said_in_the_middle_of_a_roll() -> None:
    assert said(("chat-a", "session"), status=ROLLING) == ""


@pytest.mark.parametrize(
    "written", [{}, {"auth": {"stack": "session"}}], ids=["nothing", "what the API server fills in"]
)
def test_the_default_is_as_good_as_no_name(written: dict[str, object]) -> None:
    assert said(("chat-a", ""), wanted=target(written)) == ""
