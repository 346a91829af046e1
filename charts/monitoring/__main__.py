"""Write the dashboards, or compare them with what the code makes: ``python -m charts.monitoring --write DIRECTORY``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from charts.monitoring.dashboards import PAGES, PAGES_OF_A_RESOURCE
from charts.monitoring.panels import render


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 when files are to be checked and one of them differs, is missing, or is made by nothing."""
    parser = argparse.ArgumentParser(prog="python -m charts.monitoring", description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the files")
    mode.add_argument("--check", action="store_true", help="compare them")
    parser.add_argument("--of-a-resource", action="store_true", help="only those of a resource, without the operator's")
    parser.add_argument("directory", type=Path)
    options = parser.parse_args(argv)
    pages = PAGES_OF_A_RESOURCE if options.of_a_resource else PAGES
    made = {options.directory / f"{page.uid}.json": render(page) for page in pages}
    if options.write:
        options.directory.mkdir(parents=True, exist_ok=True)
        for path, text in made.items():
            path.write_text(text)
        return 0
    different = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    strays = [path for path in options.directory.glob("*.json") if path not in made]
    for path in (*different, *strays):
        sys.stderr.write(f"{path} is not what charts/monitoring/dashboards.py makes: run make generate\n")
    return 1 if different or strays else 0


if __name__ == "__main__":
    sys.exit(main())
