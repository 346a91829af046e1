"""The operator's spans, as a collector gets them, and what a collector in trouble costs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.free_port import free_port
from tests.support.trace_receiver import ReceivedSpan, TraceReceiver

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.hosts import HostList, Shard
from realtime_operator import recording, tracing
from realtime_operator.apply import host_epochs
from realtime_operator.apply.backoff import Backoff
from realtime_operator.apply.perform import Means, perform
from realtime_operator.exporting import exporting
from realtime_operator.kube.errors import KubeError
from realtime_operator.observe.object_cache import ObjectCache
from realtime_operator.options import read_options
from realtime_operator.plan import AnnounceHosts, Evict, MintHosts
from realtime_operator.snapshot import Address, ObjectKey

NEEDED = {"REALTIME_GATEWAY_OPERATOR_NAMESPACE": "rtg", "REALTIME_GATEWAY_OPERATOR_IMAGE": "image"}
HOSTS = HostList(7, (Shard("chat-redis-0"),))
METADATA = {"name": "chat-hosts", "namespace": "town", "labels": {}}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[TraceReceiver]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with TraceReceiver() as started:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", started.url)
        yield started


def options(**environment: str) -> Any:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **environment}
    return read_options({**NEEDED, "REALTIME_GATEWAY_OPERATOR_IDENTITY": "operator-0", **given})


class Kube:
    """In a client's place: keeps what it is sent, and refuses to evict."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    async def evict(self, *_: object) -> None:
        raise KubeError(503, "away")

    async def patch(self, key: ObjectKey, namespace: str, body: Any, *, content_type: str) -> Any:
        self.bodies.append(body)
        return {"kind": "ConfigMap", **body}

    async def create(self, manifest: Any) -> Any:
        self.bodies.append(manifest)
        return manifest


class Servers:
    """In the Redis servers' place: takes everything."""

    async def tell(self, *_: object) -> None:
        return None


def means(kube: Kube) -> Means:
    client: Any = kube
    servers: Any = Servers()
    return Means(client, ObjectCache(), servers, Backoff(), lambda: True, str)


def target() -> Any:
    layer = type("Layer", (), {"prefix": "rtg"})
    return type("T", (), {"namespace": "town", "name": "chat", "spec": type("Spec", (), {"channel_layer": layer})})


def minting(version: str | None = "41") -> MintHosts:
    return MintHosts(HOSTS, {"kind": "ConfigMap", "metadata": METADATA, "data": {}}, version)


def named(spans: list[ReceivedSpan], name: str) -> ReceivedSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


async def test_a_pass_is_one_trace_whose_actions_say_on_what_they_were_and_how_they_ended(
    receiver: TraceReceiver,
) -> None:
    acting = means(Kube())
    with exporting(options()), tracing.reconcile("town", "chat") as span:
        await perform(target(), [Evict("chat-redis-0-1", "uid")], acting, lambda: 0.0)
        span.note(tracing.RESULT, recording.RESTED)
    spans = receiver.spans()
    passed, evicted = named(spans, "reconcile"), named(spans, "Evict")
    assert passed.attributes == {
        "k8s.namespace.name": "town",
        "realtime_gateway.resource": "chat",
        "realtime_gateway.operator.result": "nothing_to_do",
    }
    assert (evicted.parent_id, evicted.trace_id, passed.parent_id) == (passed.span_id, passed.trace_id, "")
    assert evicted.attributes == {
        "realtime_gateway.operator.object": "Pod chat-redis-0-1",
        "realtime_gateway.operator.outcome": "refused",
        "error.type": "ApiUnavailable",
    }
    assert evicted.failed
    assert not passed.failed
    process = passed.process
    assert (process["service.name"], process["service.instance.id"]) == ("realtime-gateway-operator", "operator-0")
    assert process["k8s.namespace.name"] == "rtg"


async def test_each_step_of_a_roll_is_linked_to_the_pass_that_made_the_host_list(receiver: TraceReceiver) -> None:
    kube = Kube()
    acting = means(kube)
    with exporting(options()):
        with tracing.reconcile("town", "chat"):
            await perform(target(), [minting()], acting, lambda: 0.0)
        # Another pass, by an operator that may have been started since.
        with tracing.reconcile("town", "chat"):
            await perform(
                target(), [AnnounceHosts(HOSTS, "chat-redis-0", Address("10.0.0.1", 6379))], acting, lambda: 1.0
            )
    spans = receiver.spans()
    minted, announced = named(spans, "MintHosts"), named(spans, "AnnounceHosts")
    assert minted.attributes["realtime_gateway.epoch"] == announced.attributes["realtime_gateway.epoch"] == 7
    assert announced.attributes["realtime_gateway.shard"] == "chat-redis-0"
    assert announced.trace_id != minted.trace_id
    assert announced.links == (minted.span_id,)
    (body,) = kube.bodies
    (annotated,) = body["metadata"]["annotations"].values()
    assert annotated.startswith(f"00-{minted.trace_id}-{minted.span_id}-")


async def test_a_list_that_is_made_without_a_trace_leads_to_none() -> None:
    kube = Kube()
    client: Any = kube
    await host_epochs.mint(client, minting())
    await host_epochs.mint(client, minting(None))
    assert kube.bodies[0]["metadata"]["annotations"] == {tracing.ANNOTATION: None}
    assert "annotations" not in kube.bodies[1]["metadata"]


async def test_which_passes_are_traced_says_the_sampler(
    receiver: TraceReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    kube = Kube()
    with exporting(options()), tracing.reconcile("town", "chat"):
        await perform(target(), [minting()], means(kube), lambda: 0.0)
    assert receiver.spans() == []
    assert kube.bodies[0]["metadata"]["annotations"] == {tracing.ANNOTATION: None}


def test_a_pass_that_raises_is_marked(receiver: TraceReceiver) -> None:
    with exporting(options()), pytest.raises(KeyError), tracing.reconcile("town", "chat"), tracing.step("observe"):
        raise KeyError("of a Secret")
    assert [span.attributes["error.type"] for span in receiver.spans()] == ["KeyError", "KeyError"]
    assert "of a Secret" not in repr(receiver.spans())


@pytest.mark.parametrize("trouble", ["nobody listens", "it refuses"])
def test_a_collector_in_trouble_is_counted_and_said_once(
    receiver: TraceReceiver, trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 400
    if trouble == "nobody listens":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    before = failed_exports()
    with caplog.at_level(logging.INFO), exporting(options()):
        for _ in range(3):
            with tracing.reconcile("town", "chat"):
                pass
    assert failed_exports() >= before + 1
    said = Counter(str(record.msg) for record in caplog.records)
    assert said.pop("The collector does not take traces.") == 1
    # The exporter's own words, each once for all of the batches.
    assert said
    assert set(said.values()) == {1}


def failed_exports() -> float:
    return counted("exports_failed_total")


def counted(name: str, **labels: str) -> float:
    samples = [sample for metric in recording.REGISTRY.collect() for sample in metric.samples]
    return sum(one.value for one in samples if one.name == recording.PREFIX + name and one.labels == labels)


def test_queue_bounds_that_cannot_be_are_named(receiver: TraceReceiver) -> None:
    with (
        pytest.raises(ConfigurationError, match="max_export_batch_size"),
        exporting(options(OTEL_BSP_MAX_QUEUE_SIZE="2")),
    ):
        pass
    with pytest.raises(ConfigurationError, match="OTEL_BSP_MAX_QUEUE_SIZE is 'many'"):
        options(OTEL_BSP_MAX_QUEUE_SIZE="many")


@pytest.mark.parametrize("switch", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_it_can_be_switched_off(switch: dict[str, str], receiver: TraceReceiver) -> None:
    with exporting(options(**switch)), tracing.reconcile("town", "chat"):
        assert tracing.traceparent() == ""
    assert receiver.exports == 0
