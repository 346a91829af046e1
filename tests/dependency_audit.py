"""Asks whether an installed package has a known vulnerability; a part of `make lint`.

Run as a program: `python -m tests.dependency_audit`. Advisories are those of OSV (https://osv.dev). Where it cannot be
reached, nothing is asked of it about any package, and the audit is skipped by name; what it knows fails the lint.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions

OSV = "https://api.osv.dev/v1/query"
REACH_SECONDS = 5.0
# More than a hundred packages are asked about one after the other.
AUDIT_SECONDS = 300.0


def why_unreachable(url: str) -> str | None:
    """Return why no advisories can be had, by a question that names no package of ours; None where they can."""
    question = json.dumps({"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "1.0"}).encode()
    request = urllib.request.Request(url, question, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=REACH_SECONDS) as answer:
            json.load(answer)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def installed() -> Iterator[str]:
    """The packages of this environment as requirements, but those that are installed from a directory."""
    for found in distributions():
        if found.read_text("direct_url.json") is None:
            yield f"{found.name}=={found.version}"


def main(arguments: Sequence[str]) -> int:
    """Audit; the one argument, if any, is the address of the advisories. Return 1 where something is known."""
    url = arguments[0] if arguments else OSV
    problem = why_unreachable(url)
    if problem is not None:
        sys.stdout.write(f"skipped: no audit of dependencies, since {url} gives no advisories ({problem})\n")
        return 0
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write("\n".join(sorted(installed())))
        requirements.flush()
        words = [
            "-m",
            "pip_audit",
            "--osv-url",
            url,
            "-s",
            "osv",
            "--no-deps",
            "--disable-pip",
            "-r",
            requirements.name,
        ]
        command = [sys.executable, *words, "--progress-spinner", "off"]
        return subprocess.run(command, check=False, timeout=AUDIT_SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
