from __future__ import annotations

from typing import Any

from realtime_gateway.layer.machine.actions import Subscribe, Unsubscribe
from realtime_gateway.layer.machine.subscriptions import Subscriptions


def test_only_the_confirmation_of_the_newest_request_counts() -> None:
    done: list[Any] = []
    subscriptions = Subscriptions(done.append)
    subscriptions.subscribe("0", ("g:a", "g:b"))
    subscriptions.unsubscribe("0", "g:a")
    subscriptions.subscribe("0", ("g:a",))
    assert done == [Subscribe("0", ("g:a", "g:b")), Unsubscribe("0", ("g:a",)), Subscribe("0", ("g:a",))]
    assert not subscriptions.confirmed("0", "g:a")
    assert subscriptions.confirmed("0", "g:a")
    assert subscriptions.confirmed("0", "g:b")


def test_a_link_that_broke_takes_its_requests_along() -> None:
    subscriptions = Subscriptions(lambda action: None)
    subscriptions.subscribe("0", ("g:a",))
    subscriptions.link_down("0")
    subscriptions.subscribe("0", ("g:a",))
    assert subscriptions.confirmed("0", "g:a")
