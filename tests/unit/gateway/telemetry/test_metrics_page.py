from prometheus_client.parser import text_string_to_metric_families

from realtime_gateway.telemetry import metrics_page, recorder


def samples() -> dict[tuple[str, tuple], float]:
    page = metrics_page.render(metrics_page.make_registry()).decode()
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
    page = metrics_page.render(metrics_page.make_registry()).decode()
    for family in recorder.FAMILIES.values():
        assert f"# HELP realtime_gateway_{family.name}" in page


def test_the_process_itself_is_on_the_page():
    assert ("process_resident_memory_bytes", ()) in samples()


def test_two_registries_can_live_in_one_process():
    assert metrics_page.render(metrics_page.make_registry())
    assert metrics_page.render(metrics_page.make_registry())
