from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from tests.support.free_port import free_port

from realtime_gateway.cli import hosts
from realtime_gateway.environment import read_environment
from realtime_gateway.errors import HostListInvalid, ShardUnavailable
from realtime_gateway.hosts import HostList, Shard

PRESENT = HostList(
    3, tuple(Shard(name, 1.0, {"address": f"redis://{name}"}) for name in ("0", "1")),
    (HostList(2, (Shard("2", 1.0, {"address": "redis://2"}),)),),
)  # fmt: skip


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    hosts.add_arguments(parser)
    return parser.parse_args(words)


def target(words: str) -> list[tuple[str, str]]:
    found = hosts.read_target(words, PRESENT, read_environment({}))
    return [(shard.name, shard.connection["address"]) for shard in found]


def test_urls_keep_the_names_they_have_and_new_ones_get_the_lowest_that_is_free() -> None:
    assert target("redis://new, redis://1,redis://2,redis://newer") == [
        ("3", "redis://new"), ("1", "redis://1"), ("2", "redis://2"), ("4", "redis://newer"),
    ]  # fmt: skip


def test_a_file_names_its_shards_itself(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    path.write_text('{"shards": [{"name": "a", "address": "redis://a"}]}')
    assert target(str(path)) == [("a", "redis://a")]


def test_what_is_neither_a_file_nor_urls_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostListInvalid, match=r"missing\.json cannot be read: No such file"):
        target(str(tmp_path / "missing.json"))


@pytest.mark.parametrize(
    ("shard", "complaint"),
    {
        "no sentinels": ('{"name": "b", "master_name": "m"}', "Shard 'b' names a master but no sentinels"),
        "sentinels of one word": ('{"name": "b", "master_name": "m", "sentinels": ["h:1"]}', "not pairs"),
        "an address that is no text": ('{"name": "b", "address": 5}', "begins with none of"),
        "a name with a colon": ('{"name": "b:1", "address": "redis://b"}', "without a colon"),
    }.values(),
)
def test_a_file_with_a_shard_that_nobody_can_dial_is_refused_with_its_name(
    tmp_path: Path, shard: str, complaint: str
) -> None:
    path = tmp_path / "hosts.json"
    path.write_text(f'{{"shards": [{shard}]}}')
    with pytest.raises(HostListInvalid, match=rf"hosts\.json: .*{complaint}"):
        target(str(path))


@pytest.mark.parametrize("word", ["-1", "soon", "inf", "nan"])
def test_what_is_no_number_of_seconds_is_a_misuse(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        parsed("set", "redis://a", f"--timeout={word}")
    assert error.value.code == 2
    assert "is not a number of seconds" in capsys.readouterr().err


def test_a_file_and_urls_of_the_deployment_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        parsed("show", "--config", "hosts.json", "--hosts", "redis://a")
    assert error.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize("is_named", [True, False])
async def test_who_names_no_deployment_is_told_how_to(is_named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}"
    monkeypatch.setattr("realtime_gateway.layer.options.DEFAULT_ADDRESS", nobody)
    for name in ("REDIS_URL", "REALTIME_GATEWAY_CONFIG", "REALTIME_GATEWAY_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ShardUnavailable) as error:
        await hosts.find(parsed("show", *(["--hosts", nobody] if is_named else [])))
    assert ("Nothing here names a deployment" in error.value.remedy) is not is_named
