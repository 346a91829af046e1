import argparse
from pathlib import Path

import pytest

from realtime_gateway.cli import up
from realtime_gateway.local.options import UpOptions


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    return parser.parse_args(words)


def test_the_address_is_port_8000_of_loopback_unless_told_otherwise():
    assert (parsed("g.yaml").host, parsed("g.yaml").port) == ("127.0.0.1", 8000)
    assert parsed("g.yaml", "--port", "9000", "--host", "0.0.0.0").port == 9000


@pytest.mark.parametrize("word", ["0", "65536", "-1", "http", "8000.0", ""])
def test_what_is_no_port_is_refused(word: str, capsys):
    with pytest.raises(SystemExit) as error:
        parsed("g.yaml", f"--port={word}")
    assert error.value.code == 2
    assert "is not a port from 1 to 65535" in capsys.readouterr().err


def test_the_application_is_imported_beside_the_file_and_files_are_kept_here():
    options = UpOptions(Path("examples/chat/gateway.yaml"))
    assert options.project_directory == Path.cwd() / "examples" / "chat"
    assert options.state_directory("chat") == Path.cwd() / ".realtime-gateway" / "chat"


def test_both_can_be_named():
    options = UpOptions(Path("g.yaml"), project=Path("/srv/site"), directory=Path("/run/site"))
    assert options.project_directory == Path("/srv/site")
    assert options.state_directory("chat") == Path("/run/site")
