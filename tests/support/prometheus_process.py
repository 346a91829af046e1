"""A real Prometheus that scrapes targets on 127.0.0.1 and can be asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.support.conditions import wait_until
from tests.support.free_port import free_port

START_SECONDS = 30


def hurried(rules: str) -> str:
    """Rules as they are, but with a second in the place of each minute, looked at twice a second."""
    rules = re.sub(r"\[(\d+)m\]", r"[\1s]", rules)
    rules = re.sub(r"for: (\d+)m", r"for: \1s", rules)
    return re.sub(r"interval: \d+s", "interval: 500ms", rules)


def fixed(job: str, namespace: str, addresses: list[str]) -> dict[str, Any]:
    """Targets with the labels that a cluster's Prometheus gives them."""
    return {"job_name": job, "static_configs": [{"targets": addresses, "labels": {"namespace": namespace}}]}


class PrometheusProcess:
    """One Prometheus, ended by its pid.

    Args:
        scrapes: scrape_configs, as ``fixed`` makes them or as a document has them.
        rules: the text of a rules file.
    """

    def __init__(self, scrapes: list[dict[str, Any]], rules: str) -> None:
        program = shutil.which("prometheus")
        assert program is not None
        self._directory = tempfile.TemporaryDirectory(prefix="rtg-prometheus-")
        self._port = free_port()
        place = Path(self._directory.name)
        (place / "rules.yaml").write_text(rules)
        configuration = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": scrapes,
        }
        (place / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
        self._words = [
            program,
            f"--config.file={place / 'prometheus.yaml'}",
            f"--storage.tsdb.path={place / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]
        self._log = (place / "log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text()

    def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer of Prometheus's API."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression comes to now: series with their labels and values."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self.ask("alerts")["alerts"] if one["state"] == "firing"}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.output
        try:
            return bool(self.query("vector(1)"))
        except OSError:
            return False

    def __enter__(self) -> PrometheusProcess:
        self._process = subprocess.Popen(self._words, stdout=self._log, stderr=subprocess.STDOUT)
        wait_until(self._answers, START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._directory.cleanup()
