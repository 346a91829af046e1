"""Code that stands in the documents, to be run as it is written there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCUMENTS = Path(__file__).parents[2] / "docs"


def code_under(document: str, heading: str) -> str:
    """Return the first block of code under a heading."""
    section = (DOCUMENTS / document).read_text().split(f"\n{heading}\n", 1)[1]
    section = re.split(r"\n#+ ", section, maxsplit=1)[0]
    lines = section.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("    "))
    block: list[str] = []
    for line in lines[start:]:
        if line and not line.startswith("    "):
            break
        block.append(line)
    return textwrap.dedent("\n".join(block)).rstrip() + "\n"
