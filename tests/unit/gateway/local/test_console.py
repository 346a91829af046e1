import io

import pytest
from rich.console import Console as RichConsole

from realtime_gateway.local.console import PlainConsole, Row, Screen, _table, make_console

ROW = Row("redis-0-0", "primary", "127.0.0.1:20000", 4711, "starting", "does not answer", 2, None)


def test_lines_go_to_a_pipe_as_they_are(capsys):
    console = make_console(plain=False)
    assert isinstance(console, PlainConsole)
    console.say("ready: http://127.0.0.1:8000/")
    console.output("gateway-0", ["[red]not markup[/red]", "two"])
    console.show(Screen("title", (ROW,)))
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.endswith(" ready: http://127.0.0.1:8000/")
    assert rest == ["gateway-0 | [red]not markup[/red]", "gateway-0 | two"]


def test_the_table_says_what_runs_where():
    output = io.StringIO()
    RichConsole(file=output, width=130).print(_table(Screen("chat   http://127.0.0.1:8000/", (ROW,)), 130))
    text = output.getvalue()
    assert "chat   http://127.0.0.1:8000/" in text
    [line] = [line for line in text.splitlines() if "redis-0-0" in line]
    for word in ("primary", "127.0.0.1:20000", "4711", "starting does not answer", "2"):
        assert word in line


@pytest.mark.parametrize("width", [80, 100, 130])
def test_no_head_and_no_number_is_cut_in_a_narrow_terminal(width: int):
    rows = (
        Row("sentinel-0", "sentinel", "127.0.0.1:20000", 1234567, "restarting", "again in 12 s", 17, None),
        Row("worker-receipts-0", "worker", "", 1234567, "ready", "", 0, None),
        Row("gateway-0", "gateway", "127.0.0.1:8000", 1234567, "ready", "", 0, 10_000),
    )
    output = io.StringIO()
    RichConsole(file=output, width=width).print(_table(Screen("chat   http://127.0.0.1:8000/", rows), width))
    lines = output.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    [head] = [line for line in lines if "process" in line]
    addresses = ["address"] if width >= 100 else []
    assert head.split() == ["process", "role", *addresses, "pid", "state", "restarts", "connections"]
    [row] = [line for line in lines if "gateway-0" in line]
    assert ("127.0.0.1:8000" in row) is (width >= 100)
    assert row.split()[-4:] == ["1234567", "ready", "0", "10000"]
    assert any("worker-receipts-0" in line for line in lines)
