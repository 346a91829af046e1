from pathlib import Path

from realtime_gateway.local import child_log
from realtime_gateway.local.child_log import SHOWN_LINES_AT_ONCE, ChildLog


def appended(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_lines_are_told_once_and_only_when_they_are_whole(tmp_path: Path):
    log = ChildLog(tmp_path / "log")
    assert log.new_lines() == []
    appended(log.path, "one\ntwo\nthr")
    assert log.new_lines() == ["one", "two"]
    assert log.new_lines() == []
    appended(log.path, "ee\n")
    assert log.new_lines() == ["three"]


def test_of_a_flood_the_first_lines_and_their_number_are_told(tmp_path: Path):
    log = ChildLog(tmp_path / "log")
    appended(log.path, "".join(f"{number}\n" for number in range(1000)))
    lines = log.new_lines()
    assert lines[0] == "0"
    assert len(lines) == SHOWN_LINES_AT_ONCE + 1
    assert f"{1000 - SHOWN_LINES_AT_ONCE} more lines" in lines[-1]
    appended(log.path, "after\n")
    assert log.new_lines() == ["after"]


def test_a_long_log_is_emptied_and_goes_on(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(child_log, "LARGEST_BYTES", 100)
    log = ChildLog(tmp_path / "log")
    with log.path.open("a") as child:
        for number in range(50):
            child.write(f"line {number}\n")
            child.flush()
            assert log.new_lines() == [f"line {number}"]
    assert log.path.stat().st_size <= 110


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path):
    log = ChildLog(tmp_path / "log")
    log.path.write_bytes(b"\xff\xfe\n")
    assert len(log.new_lines()) == 1


def test_the_last_lines_say_why_a_child_ended(tmp_path: Path):
    log = ChildLog(tmp_path / "log")
    assert log.last_lines() == []
    appended(log.path, "".join(f"{number}\n" for number in range(100)) + "the end")
    assert log.last_lines()[-2:] == ["99", "the end"]
    assert len(log.last_lines()) == child_log.LAST_LINES


def test_the_last_lines_are_those_of_the_present_run(tmp_path: Path, monkeypatch):
    log = ChildLog(tmp_path / "log")
    for run in ("first", "second"):
        with log.begin() as child:
            child.write(f"{run} run\n".encode())
        assert log.last_lines() == [f"{run} run"]
    monkeypatch.setattr(child_log, "LARGEST_BYTES", 10)
    log.new_lines()
    appended(log.path, "after it was emptied\n")
    assert log.last_lines() == ["after it was emptied"]
