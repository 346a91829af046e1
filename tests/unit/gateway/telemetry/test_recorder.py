import pytest

from realtime_gateway.telemetry import recorder


@pytest.fixture
def families(monkeypatch):
    """Declarations of a test end with it."""
    monkeypatch.setattr(recorder, "FAMILIES", {})
    return recorder.FAMILIES


def test_a_counter_adds_up_by_label(families):
    drops = recorder.counter("drops", "Messages dropped.", "reason")
    drops.add(label_value="full")
    drops.add(2, "full")
    drops.add(label_value="expired")
    assert drops.values == {"full": 3, "expired": 1}


def test_declaring_a_name_twice_is_an_error(families):
    recorder.counter("drops", "Messages dropped.")
    with pytest.raises(ValueError, match="drops is declared twice"):
        recorder.gauge("drops", "Again.")


def test_label_values_that_are_no_more_are_forgotten(families):
    up = recorder.gauge("up", "Whether it is there.", "shard")
    up.set(1, "old")
    up.set(1, "new")
    up.keep(["new", "newer"])
    assert up.values == {"new": 1}


def test_a_histogram_shows_its_label_values_from_the_start(families):
    waits = recorder.histogram("wait_seconds", "How long.", "kind", ("group", "channel"))
    assert set(waits.series) == {"group", "channel"}
    assert recorder.read() == (waits,)


@pytest.mark.parametrize(
    ("family", "values"),
    [
        (recorder.layer_published, {"group", "channel", "queue"}),
        (recorder.layer_delivered, {"group", "channel", "queue"}),
        (recorder.fan_out_members, {"direct", "mailbox"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_alerts_compare_is_there_before_the_first_message(family, values):
    assert family.values.keys() >= values
