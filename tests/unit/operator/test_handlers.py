from __future__ import annotations

import kopf

from realtime_operator.handlers import settings_for


def test_kopf_watches_and_does_nothing_else() -> None:
    settings = kopf.OperatorSettings()
    settings_for(settings, ("ConfigMap", "Pod"))
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.process.ultimate_exiting_timeout is None, "it would kill an operator that watches other kinds"
