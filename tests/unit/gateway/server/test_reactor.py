"""Which loop is installed is decided once per process, so each of these runs in a process of its own."""

import subprocess
import sys

import pytest


def run(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


SHOW = "from realtime_gateway.server.reactor import installed_loop; print(type(installed_loop()).__module__)"


@pytest.mark.parametrize(
    ("loop", "module"), [("auto", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio.unix_events")]
)
def test_the_loop_is_the_one_that_was_asked_for(loop: str, module: str):
    assert (
        run(f"from realtime_gateway.server.reactor import install_reactor; install_reactor({loop!r}); {SHOW}") == module
    )


def test_importing_the_server_installs_our_loop_before_daphne_can_install_its_own():
    assert run(f"import realtime_gateway.server.gateway_server; {SHOW}") == "uvloop"


def test_an_asyncio_reactor_that_is_there_already_stays():
    assert run(f"import daphne.server; import realtime_gateway.server.gateway_server; {SHOW}") == "asyncio.unix_events"


def test_another_reactor_is_replaced():
    assert (
        run(f"from twisted.internet import reactor; import realtime_gateway.server.gateway_server; {SHOW}") == "uvloop"
    )


def test_no_event_loop_policy_is_set():
    program = "import asyncio, realtime_gateway.server.gateway_server; print(type(asyncio.new_event_loop()).__module__)"
    assert run(program.replace("-W error", "")).startswith("asyncio.")


def test_the_pure_modules_install_nothing():
    pure = "connection drain frames handshake inbox options"
    imports = "; ".join(f"import realtime_gateway.server.{name}" for name in pure.split())
    assert run(f"{imports}; import sys; print('twisted' in sys.modules, 'asyncio' in sys.modules)") == "False False"
