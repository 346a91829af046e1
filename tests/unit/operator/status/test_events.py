from __future__ import annotations

from typing import Any

import pytest

from realtime_operator.kube.errors import KubeError
from realtime_operator.status import events, reasons

RESOURCE = {"metadata": {"name": "chat", "namespace": "shop", "uid": "u-1"}}
NOW = "2026-01-01T00:00:00.000000Z"


def condition(type: str, status: str, reason: str = "Because", message: str = "a sentence") -> dict[str, Any]:
    return {"type": type, "status": status, "reason": reason, "message": message}


READY, NOT_READY = condition(reasons.READY, "True"), condition(reasons.READY, "False", "GatewayUnavailable")


def test_a_condition_that_stays_is_no_news_whatever_its_message_says() -> None:
    again = {**NOT_READY, "message": "another sentence"}
    assert list(events.transitions([NOT_READY], [again])) == []


@pytest.mark.parametrize("after", [READY, {**NOT_READY, "reason": "RedisUnavailable"}])
def test_another_status_or_another_reason_is_news_once(after: dict[str, Any]) -> None:
    assert list(events.transitions([NOT_READY], [after])) == [after]
    assert list(events.transitions([after], [after])) == []


def test_at_the_first_look_only_what_is_under_way_or_not_in_order_is_news() -> None:
    progressing = condition(reasons.PROGRESSING, "True", "Provisioning")
    settled = condition(reasons.PROGRESSING, "False", "Settled")
    degraded, sound = condition(reasons.DEGRADED, "True", "ImagePull"), condition(reasons.DEGRADED, "False")
    news = list(events.transitions([], [READY, NOT_READY, progressing, settled, degraded, sound]))
    assert news == [NOT_READY, progressing, degraded]


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (READY, "Normal"),
        (NOT_READY, "Warning"),
        (condition(reasons.DEGRADED, "True"), "Warning"),
        (condition(reasons.DEGRADED, "False"), "Normal"),
        (condition(reasons.PROGRESSING, "False"), "Normal"),
        (condition(reasons.PAUSED, "True"), "Normal"),
    ],
)
def test_bad_news_is_a_warning_and_progress_is_not(told: dict[str, Any], kind: str) -> None:
    assert events.event(RESOURCE, told, NOW, "operator-1")["type"] == kind


def test_an_event_names_its_resource_and_fits_what_kubernetes_takes() -> None:
    told = condition(reasons.DEGRADED, "True", "ImagePull", "x" * 2000)
    made = events.event(RESOURCE, told, NOW, "o" * 200)
    assert made["regarding"]["uid"] == "u-1"
    assert (made["reason"], made["action"], made["eventTime"]) == ("ImagePull", "Degraded", NOW)
    assert (len(made["note"]), len(made["reportingInstance"])) == (1000, 128)
    later = events.event(RESOURCE, told, "2026-01-01T00:00:01.000000Z", "o")
    assert made["metadata"]["name"] != later["metadata"]["name"]


@pytest.mark.parametrize(("status", "asked"), [(403, ["a", "b"]), (0, ["a"])], ids=["refused", "nobody answers"])
async def test_events_that_cannot_be_sent_are_dropped_and_who_does_not_answer_is_asked_once(
    status: int, asked: list[str]
) -> None:
    tried: list[str] = []

    class Client:
        async def create(self, event: dict[str, Any]) -> None:
            tried.append(event["reason"])
            raise KubeError(status, "no")

    await events.announce(Client(), [{"reason": "a"}, {"reason": "b"}])  # type: ignore[arg-type] # all that it uses
    assert tried == asked
