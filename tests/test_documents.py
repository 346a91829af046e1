"""What the documents say is so: links lead somewhere, and commands that stand in two places are the same."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from realtime_gateway.cli.serve_options import add_arguments
from realtime_gateway.telemetry import metrics_page, recorder
from realtime_operator import recording

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def commands(document: Path, heading: str) -> list[str]:
    """The indented lines under a heading, up to the next heading of the same depth."""
    section = document.read_text().split(f"\n{heading}\n", 1)[1]
    depth = heading.count("#")
    section = re.split(rf"\n#{{1,{depth}}} ", section, maxsplit=1)[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (document.parent / link).exists()]


def test_ci_runs_the_readme_s_test_commands() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    run = [line.removeprefix("exec ") for line in lines if line.removeprefix("exec ").startswith("make ")]
    documented = [line.partition("#")[0].strip() for line in commands(ROOT / "README.md", "## Try it")]
    assert run == [line for line in documented if line.startswith("make test")] != []


def test_the_readme_s_way_onto_kubernetes_is_the_one_that_a_test_of_the_cluster_executes() -> None:
    tested = commands(ROOT / "docs" / "kubernetes.md", "## Install")
    shown = commands(ROOT / "README.md", "## On Kubernetes")
    assert shown == [line for line in tested if line in shown]


def test_the_server_s_document_names_every_option_that_serve_takes_and_no_other() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    taken = [action.option_strings for action in parser._actions if action.help is not argparse.SUPPRESS]
    text = (ROOT / "docs" / "server.md").read_text()
    named = set(re.findall(r"`(--?[a-z][a-z-]*)[` ]", text))
    ours = {option for options in taken for option in options if "_" not in option}  # those are Daphne's old spellings
    first_cells = "".join(re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE))
    assert ours - named == set()
    assert set(re.findall(r"--?[a-z][a-z-]*", " ".join(re.findall(r"`([^`]*)`", first_cells)))) - ours == set()


def test_each_word_of_make_that_a_document_names_exists() -> None:
    words = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for path in DOCUMENTS for word in re.findall(r"`make ([a-z-]+)", path.read_text())}
    assert named <= words


def test_the_table_of_metrics_is_what_the_code_declares() -> None:
    row = r"^\| `(\w+)` \| (\w+) \| (?:`(\w+)`)? \| (.+) \|$"
    rows = re.findall(row, observability("## Metrics").split("\n### ", 1)[0], re.MULTILINE)
    declared = [
        (
            metrics_page.PREFIX + family.name + ("_total" if family.kind == "counter" else ""),
            family.kind,
            family.label,
            family.help,
        )
        for family in recorder.FAMILIES.values()
    ]
    assert rows == declared


def test_the_table_of_the_operators_metrics_is_what_it_serves() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| (.+) \|$", observability("### The operator's"), re.MULTILINE)
    served = [
        (metric.name + ("_total" if metric.type == "counter" else ""), metric.type, metric.documentation)
        for metric in recording.REGISTRY.collect()
    ]
    assert rows == served


@pytest.mark.parametrize("family", recorder.FAMILIES.values(), ids=lambda family: family.name)
def test_a_metric_s_unit_is_a_base_unit_at_the_end_of_its_name(family: recorder.Family) -> None:
    derived = {"milliseconds", "ms", "us", "minutes", "hours", "kilobytes", "kb", "megabytes", "mb", "percent"}
    words = family.name.split("_")
    assert not derived & set(words)
    assert not {"seconds", "bytes", "total"} & set(words[:-1])
    assert words[-1] != "total", "the page adds it"


def observability(heading: str) -> str:
    """The text under a heading of docs/observability.md."""
    section = (ROOT / "docs" / "observability.md").read_text().split(f"\n{heading}\n", 1)[1]
    return re.split(r"\n## ", section, maxsplit=1)[0]
