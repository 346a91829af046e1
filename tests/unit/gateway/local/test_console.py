import io

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
    RichConsole(file=output, width=130).print(_table(Screen("chat   http://127.0.0.1:8000/", (ROW,))))
    text = output.getvalue()
    assert "chat   http://127.0.0.1:8000/" in text
    [line] = [line for line in text.splitlines() if "redis-0-0" in line]
    for word in ("primary", "127.0.0.1:20000", "4711", "starting does not answer", "2"):
        assert word in line
