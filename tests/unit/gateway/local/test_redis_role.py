import pytest

from realtime_gateway.local.redis_role import majority


@pytest.mark.parametrize(
    ("answers", "port"),
    [
        ([1, 1, 1], 1),
        ([1, 1, 2], 1),
        ([1, 1, None], 1),
        ([1, 2, None], None),
        ([1, None, None], None),
        ([None, None, None], None),
        ([], None),
    ],
)
def test_only_what_more_than_half_of_all_sentinels_say_counts(answers, port):
    assert majority(answers) == port
