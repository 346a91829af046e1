import subprocess
import sys

import pytest

from realtime_gateway import __version__
from realtime_gateway.cli import main as command
from realtime_gateway.errors import ConfigurationError


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "realtime_gateway.cli.main", *words], check=False, capture_output=True, text=True
    )


def test_the_version_is_told():
    assert run("--version").stdout == f"realtime-gateway {__version__}\n"


def test_a_missing_command_lists_those_there_are():
    result = run()
    assert result.returncode == 2
    assert "COMMAND" in result.stderr


@pytest.mark.parametrize("name", command.COMMANDS)
def test_each_command_has_help(name):
    result = run(name, "--help")
    assert result.returncode == 0, result.stderr
    assert command.COMMANDS[name] in " ".join(result.stdout.split())


def test_our_errors_end_as_one_message_and_exit_code_1(monkeypatch, capsys):
    class Failing:
        @staticmethod
        def add_arguments(parser):
            parser.add_argument("--quick", action="store_true")

        @staticmethod
        def run(arguments):
            raise ConfigurationError("gateway.yaml is empty.", "Write a resource into it.")

    monkeypatch.setattr(command, "import_module", lambda name: Failing)
    assert command.main(["serve"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "realtime-gateway serve: gateway.yaml is empty.\nWrite a resource into it.\n"


def test_ctrl_c_while_a_command_is_imported_ends_it_in_silence(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "import_module", interrupted)
    assert command.main(["up", "gateway.yaml"]) == 130
    assert capsys.readouterr() == ("", "")
