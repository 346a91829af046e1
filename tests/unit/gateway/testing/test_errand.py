"""What a live server's process is told arrives, or is refused by name."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.testing.errand import Errand, read_errand, write_errand


def errand(**overrides: object) -> Errand:
    return Errand("mysite.settings", overrides, {"default": "test_db"}, "", "localhost", 0, True, 5)


def test_it_arrives_whole_and_brings_the_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = errand(DEBUG=True, CHANNEL_LAYERS={"default": {"BACKEND": "x"}})
    stream = io.BytesIO()
    write_errand(sent, stream)
    stream.seek(0)
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    assert read_errand(stream) == sent
    assert sys.path == sent.import_path


def test_a_setting_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(ConfigurationError, match="setting LOCK cannot be sent"):
        write_errand(errand(LOCK=threading.Lock()), io.BytesIO())
