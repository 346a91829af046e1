"""Applications that know the lifespan protocol, and those that do not."""

from __future__ import annotations

import httpx
import pytest
from tests.support.serve_process import ServeProcess


def test_start_up_runs_before_the_first_connection_and_shutdown_after_the_last(applications):
    with ServeProcess("lifespans:supported", directory=applications) as it:
        assert "started up" in it.output
        assert httpx.get(it.url).json() == {"state": {"pool": "open"}}
        assert "shut down" not in it.output
        it.terminate()
        assert it.wait() == 0
        assert "shut down" in it.output


@pytest.mark.parametrize("kind", ["raising", "returning"])
def test_an_application_without_lifespan_is_served_and_nothing_is_logged(applications, kind: str):
    with ServeProcess(f"lifespans:{kind}", directory=applications) as it:
        assert httpx.get(it.url).json() == {"state": None}
        it.terminate()
        assert it.wait() == 0
        assert "lifespan" not in it.output.replace(f"lifespans:{kind}", "")


def test_a_startup_that_fails_ends_the_process_with_its_reason(applications):
    it = ServeProcess("lifespans:failing", directory=applications).launch()
    try:
        assert it.wait() == 1
        assert "The application's start-up failed: the database is away." in it.output
        assert "Traceback" not in it.output
    finally:
        it.stop()


def test_a_shutdown_that_hangs_has_its_time_and_the_process_ends(applications):
    with ServeProcess("lifespans:never_shut_down", "--drain-seconds", "0", directory=applications) as it:
        it.terminate()
        it.wait_for_output("shutting down")
        assert it.wait(30) == 0
        assert "The application's shutdown has not ended in time; leaving without it" in it.output
        assert "Traceback" not in it.output


def test_a_signal_during_the_shutdown_ends_it(applications):
    with ServeProcess("lifespans:never_shut_down", "--drain-seconds", "600", directory=applications) as it:
        it.terminate()
        it.wait_for_output("shutting down")
        it.terminate()
        assert it.wait(30) == 0
        assert "leaving without it" in it.output
