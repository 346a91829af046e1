import pytest
from opentelemetry.trace import SpanContext, TraceFlags
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics_families
from prometheus_client.parser import text_string_to_metric_families

from realtime_gateway.telemetry import metrics_page, propagation, recorder

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.fixture
def waits(monkeypatch):
    """A histogram of this test."""
    monkeypatch.setattr(recorder, "FAMILIES", {})
    return recorder.histogram("wait_seconds", "How long.", "kind", ("group",))


def samples() -> dict[tuple[str, tuple], float]:
    page = metrics_page.render(metrics_page.make_registry())[1].decode()
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_a_counter_is_read_when_the_page_is():
    before = samples()[("realtime_gateway_messages_received_total", ())]
    recorder.messages_received.add(3)
    assert samples()[("realtime_gateway_messages_received_total", ())] == before + 3


def test_a_label_is_a_label():
    recorder.handshakes.add(1, "accepted")
    assert samples()[("realtime_gateway_handshakes_total", (("result", "accepted"),))] >= 1


def test_a_family_without_labels_is_there_from_the_start():
    assert ("realtime_gateway_messages_sent_total", ()) in samples()


def test_every_family_is_on_the_page_with_its_help():
    page = metrics_page.render(metrics_page.make_registry())[1].decode()
    for family in recorder.FAMILIES.values():
        assert f"# HELP realtime_gateway_{family.name}" in page


def test_the_process_itself_is_on_the_page():
    assert ("process_resident_memory_bytes", ()) in samples()


def test_two_registries_can_live_in_one_process():
    assert metrics_page.render(metrics_page.make_registry())
    assert metrics_page.render(metrics_page.make_registry())


def test_the_buckets_of_a_histogram_add_up(waits):
    for value in (0.0004, 0.002, 0.002, 99.0):
        waits.observe(value, "group")
    found = samples()
    buckets = {labels[1][1]: value for (name, labels), value in found.items() if name.endswith("wait_seconds_bucket")}
    assert [buckets[bound] for bound in ("0.0005", "0.001", "0.0025", "60.0", "+Inf")] == [1, 1, 3, 3, 4]
    assert found["realtime_gateway_wait_seconds_count", (("kind", "group"),)] == 4
    assert found["realtime_gateway_wait_seconds_sum", (("kind", "group"),)] == pytest.approx(99.0044)


def test_who_accepts_open_metrics_gets_it_with_the_trace_of_a_sample(waits):
    waits.observe(0.002, "group", propagation.pack(SpanContext(0xABC, 0xDEF, False, TraceFlags(1))))
    content_type, page = metrics_page.render(metrics_page.make_registry(), OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text")
    [exemplar] = [
        sample.exemplar
        for family in open_metrics_families(page.decode())
        for sample in family.samples
        if sample.exemplar
    ]
    assert exemplar.labels == {"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}
    assert exemplar.value == 0.002


def test_a_trace_that_cannot_be_read_is_no_exemplar(waits):
    waits.observe(0.002, "group", b"of another version")
    assert b"trace_id" not in metrics_page.render(metrics_page.make_registry(), OPEN_METRICS)[1]


def test_everybody_else_gets_prometheus_text(waits):
    waits.observe(0.002, "group", propagation.pack(SpanContext(0xABC, 0xDEF, False, TraceFlags(1))))
    content_type, page = metrics_page.render(metrics_page.make_registry(), "*/*")
    assert content_type.startswith("text/plain")
    assert b"trace_id" not in page
