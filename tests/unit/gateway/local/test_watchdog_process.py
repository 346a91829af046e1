import os
import signal
from pathlib import Path

from realtime_gateway.local.watchdog_process import Watchdog


def test_a_watchdog_that_somebody_killed_is_dismissed_without_trouble(tmp_path: Path):
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    watchdog = Watchdog(tmp_path, lock)
    os.kill(watchdog._process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, watchdog._process.pid, os.WEXITED | os.WNOWAIT)
    watchdog.started(1_000_000)
    watchdog.ended(1_000_000)
    watchdog.dismiss()
    os.close(lock)
    assert list(tmp_path.iterdir()) == [tmp_path / "lock"]
