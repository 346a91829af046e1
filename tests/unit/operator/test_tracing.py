"""What the operator decides of spans: what each says, what it leads to, and what it never does to a pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from realtime_operator import tracing

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Ended(SpanProcessor):
    """Keeps spans in the order in which they end."""

    def __init__(self) -> None:
        self._spans: SimpleQueue[ReadableSpan] = SimpleQueue()

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.put(span)

    def take(self) -> list[ReadableSpan]:
        return [self._spans.get() for _ in range(self._spans.qsize())]


@pytest.fixture
def ended() -> Iterator[Ended]:
    kept, provider = Ended(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(kept)
    tracing.wire(provider.get_tracer(tracing.SCOPE))
    yield kept
    tracing.wire(None)


def test_a_pass_says_of_which_resource_it_is_and_its_steps_are_below_it(ended: Ended) -> None:
    with tracing.reconcile("town", "chat") as made:
        with tracing.step("observe", {tracing.EPOCH: 7}):
            pass
        made.note(tracing.RESULT, "done")
    observe, reconcile = ended.take()
    assert (reconcile.name, reconcile.kind, reconcile.parent) == ("reconcile", SpanKind.INTERNAL, None)
    assert reconcile.attributes == {
        "k8s.namespace.name": "town",
        "realtime_gateway.resource": "chat",
        "realtime_gateway.operator.result": "done",
    }
    assert (observe.name, observe.attributes) == ("observe", {"realtime_gateway.epoch": 7})
    assert observe.parent is not None
    assert observe.parent.span_id == reconcile.context.span_id
    assert reconcile.status.is_unset


def test_each_pass_is_a_trace_of_its_own(ended: Ended) -> None:
    for _ in range(2):
        with tracing.reconcile("town", "chat"):
            pass
    first, second = ended.take()
    assert first.context.trace_id != second.context.trace_id


def test_what_a_step_raises_marks_it_and_says_nothing_of_what_is_in_it(ended: Ended) -> None:
    """An error's text may hold what a Secret does."""
    with pytest.raises(ValueError, match="hunter2"), tracing.step("decide"):
        raise ValueError("hunter2")
    (step,) = ended.take()
    assert step.status.status_code is StatusCode.ERROR
    assert step.attributes == {"error.type": "ValueError"}
    assert step.events == ()
    assert "hunter2" not in step.to_json()


def test_a_pass_that_is_called_off_is_marked_too(ended: Ended) -> None:
    with pytest.raises(KeyboardInterrupt), tracing.step("observe"):
        raise KeyboardInterrupt
    (step,) = ended.take()
    assert step.attributes == {"error.type": "KeyboardInterrupt"}


@pytest.mark.parametrize(("message", "said"), [("it is full", "it is full"), ("", None)])
def test_a_refusal_is_marked_without_an_exception(ended: Ended, message: str, said: str | None) -> None:
    with tracing.step("Apply") as made:
        made.failed("Conflict", message)
    (step,) = ended.take()
    assert (step.status.status_code, step.status.description) == (StatusCode.ERROR, said)
    assert step.attributes == {"error.type": "Conflict"}


def test_of_many_actions_the_first_fifty_are_shown(ended: Ended) -> None:
    with tracing.step("decide") as made:
        made.note(tracing.ACTIONS, [f"action{number}" for number in range(51)])
    (step,) = ended.take()
    assert step.attributes is not None
    assert step.attributes[tracing.ACTIONS] == tuple(f"action{number}" for number in range(50))


def test_a_text_is_a_text_however_long(ended: Ended) -> None:
    with tracing.step("Evict") as made:
        made.note(tracing.OBJECT, "Pod " + "x" * 60)
    (step,) = ended.take()
    assert step.attributes == {tracing.OBJECT: "Pod " + "x" * 60}


def test_a_span_leads_to_what_stands_beside_a_host_list(ended: Ended) -> None:
    with tracing.step("MintHosts"):
        stands = tracing.traceparent()
    with tracing.step("AnnounceHosts", traceparent=stands):
        pass
    minted, announced = ended.take()
    # Sampled; a second flag, of the W3C's next version, says that the trace's id is random.
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", stands)
    assert [link.context.span_id for link in announced.links] == [minted.context.span_id]
    assert announced.context.trace_id != minted.context.trace_id


@pytest.mark.parametrize("stands", ["", "no traceparent", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "é" * 55])
def test_what_cannot_be_read_leads_nowhere(ended: Ended, stands: str) -> None:
    """Anybody who may write a ConfigMap may write this."""
    with tracing.step("AnnounceHosts", traceparent=stands):
        pass
    (step,) = ended.take()
    assert step.links == ()


def test_it_is_read_as_the_w3c_writes_it(ended: Ended) -> None:
    with tracing.step("AnnounceHosts", traceparent=TRACEPARENT):
        pass
    ((link,),) = [step.links for step in ended.take()]
    assert f"{link.context.trace_id:032x}" == TRACEPARENT.split("-")[1]
    assert f"{link.context.span_id:016x}" == TRACEPARENT.split("-")[2]


def test_nothing_stands_beside_a_host_list_that_was_made_in_no_span() -> None:
    assert tracing.traceparent() == ""
    with tracing.step("MintHosts"):
        assert tracing.traceparent() == ""


def test_nothing_stands_beside_one_whose_pass_is_not_sampled() -> None:
    """A link would lead to a trace that nobody has."""
    tracing.wire(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer(tracing.SCOPE))
    try:
        with tracing.step("MintHosts"):
            assert trace.get_current_span().get_span_context().is_valid
            assert tracing.traceparent() == ""
    finally:
        tracing.wire(None)


def test_without_a_tracer_a_pass_is_the_same(ended: Ended) -> None:
    tracing.wire(None)
    with tracing.reconcile("town", "chat") as made:
        made.note(tracing.ACTIONS, ["Apply"])
        made.failed("Conflict", "said")
    with pytest.raises(ValueError, match="same"), tracing.step("decide"):
        raise ValueError("the same")
    assert ended.take() == []
