"""Whether the auth stack of the resource is applied, a case per sentence."""

from __future__ import annotations

import pytest
from tests.support.operator_targets import target

from realtime_operator.decide import auth
from realtime_operator.snapshot import Fleet, Pod, Process, Snapshot, Unknown
from realtime_operator.status import reasons

JWT = target({"auth": {"stack": "jwt", "jwt": {"jwksUrl": "https://example.com/keys"}}})
POD = Pod("chat-a", "u", True)


def said(stack: str | None, name: str = "chat-a", wanted: object = JWT, pod: Pod = POD) -> str:
    fleet = Fleet((Process(name, 1, auth_stack=stack),))
    verdict = auth.stack(wanted, Snapshot(pods=(("gateway", pod),), fleet=fleet))  # type: ignore[arg-type] # a Target
    assert all(finding.reason == reasons.AUTH_NOT_APPLIED for finding in verdict.findings)
    return "".join(finding.message for finding in verdict.findings)


def test_pods_that_use_the_stack_are_in_order() -> None:
    assert said("jwt") == ""


def test_an_application_built_by_hand_is_named_with_its_pods() -> None:
    message = said("")
    assert "'jwt' has no effect: chat-a serve an application that gateway_application has not built" in message


@pytest.mark.parametrize("other", ["session", "custom"])
def test_a_stack_that_settings_or_code_name_is_said(other: str) -> None:
    assert f"serve with the auth stack {other!r}" in said(other)


def test_what_nobody_has_said_is_not_held_against_them() -> None:
    assert said(None) == ""
    assert auth.stack(JWT, Snapshot(pods=(("gateway", POD),), fleet=Unknown("no shard answers"))).findings == ()


def test_workers_commands_and_pods_that_end_do_not_count() -> None:
    assert said("", name="chat-worker-1") == ""
    assert said("", pod=Pod("chat-a", "u", True, deleting=True)) == ""


def test_a_resource_that_names_no_stack_leaves_it_to_the_application() -> None:
    assert said("", wanted=target({})) == ""
