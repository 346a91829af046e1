from realtime_gateway.telemetry.histogram import Histogram


def test_a_sample_belongs_to_the_first_bucket_whose_bound_it_does_not_exceed():
    waits = Histogram("wait_seconds", "How long.", bounds=(0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        waits.observe(value)
    assert waits.series[""].counts == [2, 1, 1]
    assert waits.series[""].total == 3.65


def test_each_label_value_has_samples_of_its_own():
    waits = Histogram("wait_seconds", "How long.", "kind", bounds=(1.0,))
    waits.observe(0.5, "group")
    waits.observe(2.0, "channel")
    assert {kind: series.counts for kind, series in waits.series.items()} == {"group": [1, 0], "channel": [0, 1]}


def test_a_bucket_keeps_its_newest_traced_sample():
    waits = Histogram("wait_seconds", "How long.", bounds=(1.0,))
    waits.observe(0.1, trace=b"one")
    waits.observe(0.2, trace=b"two")
    waits.observe(0.3)
    assert [(bucket, one.trace, one.value) for bucket, one in waits.series[""].exemplars.items()] == [(0, b"two", 0.2)]


def test_a_label_value_that_is_opened_again_keeps_its_samples():
    waits = Histogram("wait_seconds", "How long.", "kind", bounds=(1.0,))
    waits.observe(0.5, "group")
    waits.open("group")
    assert waits.series["group"].counts == [1, 0]
