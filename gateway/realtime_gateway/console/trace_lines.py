"""Pure. A tree of spans as lines of text, with when each began, how long it took, and a bar of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from realtime_gateway.console.trace_tree import Branch
from realtime_gateway.telemetry.recent import RecentSpan

BAR_CHARACTERS = 24
# Of siblings of one name in one process; members of a group are many, and much alike.
SHOWN_ALIKE = 3
# No way is so long; what is deeper has been made up.
DEEPEST = 100
# Attribute → what is said of it.
SAID = {
    "http.response.status_code": "status {}",
    "realtime_gateway.shard": "shard {}",
    "realtime_gateway.tries": "{} tries",
    "realtime_gateway.fan_out": "to {}",
    "realtime_gateway.members": "{} members",
    "realtime_gateway.longest_ms": "{:.1f} ms the longest",
    "realtime_gateway.total_ms": "{:.1f} ms in all",
    "realtime_gateway.sockets": "to {} sockets",
    "realtime_gateway.refused": "{} full",
    "realtime_gateway.duplicates": "dropped as seen before",
    "realtime_gateway.replayed": "replayed",
    "realtime_gateway.wait.sender_ms": "{:.1f} ms at its sender",
    "realtime_gateway.wait.redis_ms": "{:.1f} ms in Redis",
    "realtime_gateway.wait.redis_error_ms": "± {:.1f} ms",
    "realtime_gateway.wait.mailbox_ms": "waited {:.1f} ms",
    "error.type": "{}",
}
# What says nothing in most traces: left out where it has this value.
USUAL = {"realtime_gateway.tries": 1, "realtime_gateway.replayed": False, "realtime_gateway.wait.sender_ms": 0}


def lines(branches: Sequence[Branch]) -> Iterator[str]:
    """Yield the lines of a trace; each root has times of its own. Spans that are their own ancestors have none."""
    spans = list(_walk(branches))
    if not spans:
        yield "no span of this trace has a beginning: their processes name one another as parents"
        return
    processes = len({span.process for span in spans})
    yield (
        f"trace {spans[0].trace_id}: {len(spans)} {_plural('span', len(spans))} in {processes} "
        f"{_plural('process', processes)}"
    )
    rows = [row for branch in branches for row in _rows_of_root(branch)]
    width = max(len(words) for _, words, _ in rows)
    place = max(len(span.process) for _, _, span in rows if span is not None)
    for times, words, span in rows:
        if span is not None and any(span is branch.span for branch in branches):
            yield ""
            yield f"{'at':>10}  {'took':>10}  {'':{BAR_CHARACTERS}}  {'':{width}}  process"
        told = "" if span is None else f"{span.process:{place}}  {about(span)}"
        yield f"{times}  {words:{width}}  {told}".rstrip()


def _rows_of_root(branch: Branch) -> Iterator[tuple[str, str, RecentSpan | None]]:
    spans = list(_walk([branch]))
    began, ended = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    for words, span in _rows([branch], ""):
        yield _times(span, began, ended), words, span


def about(span: RecentSpan) -> str:
    """Return what is worth a word about a span."""
    words = ["failed:"] if span.is_failed else []
    for name, form in SAID.items():
        value = span.attributes.get(name)
        if value is None or value == USUAL.get(name):
            continue
        try:
            words.append(form.format(value) + ("" if name == "error.type" and span.is_failed else ","))
        except (TypeError, ValueError):
            continue
    return " ".join(words).replace(", ±", " ±").rstrip(",")


def _walk(branches: Sequence[Branch]) -> Iterator[RecentSpan]:
    waiting = list(branches)
    while waiting:
        branch = waiting.pop()
        yield branch.span
        waiting += branch.branches


def _rows(branches: Sequence[Branch], before: str, depth: int = 0) -> Iterator[tuple[str, RecentSpan | None]]:
    if depth > DEEPEST:
        return
    alike = Counter((branch.span.name, branch.span.process) for branch in branches)
    shown: Counter[tuple[str, str]] = Counter()
    kept = [branch for branch in branches if _is_shown(branch, alike, shown)]
    for index, branch in enumerate(kept):
        key = (branch.span.name, branch.span.process)
        more = alike[key] - shown[key] if branch is _last_of(kept, key) else 0
        is_last = index == len(kept) - 1 and not more
        at_root = depth == 0
        yield f"{before}{'' if at_root else '└─ ' if is_last else '├─ '}{branch.span.name}", branch.span
        yield from _rows(branch.branches, before if at_root else before + ("   " if is_last else "│  "), depth + 1)
        if more:
            yield f"{before}{'└─ ' if index == len(kept) - 1 else '├─ '}… and {more} more", None


def _is_shown(branch: Branch, alike: Counter[tuple[str, str]], shown: Counter[tuple[str, str]]) -> bool:
    key = (branch.span.name, branch.span.process)
    if shown[key] >= SHOWN_ALIKE and alike[key] > SHOWN_ALIKE + 1:
        return False
    shown[key] += 1
    return True


def _last_of(branches: Sequence[Branch], key: tuple[str, str]) -> Branch:
    return [branch for branch in branches if (branch.span.name, branch.span.process) == key][-1]


def _times(span: RecentSpan | None, began: int, ended: int) -> str:
    if span is None:
        return " " * (10 + 2 + 10 + 2 + BAR_CHARACTERS)
    at, took = span.start_ns - began, span.end_ns - span.start_ns
    whole = max(ended - began, 1)
    start = min(at * BAR_CHARACTERS // whole, BAR_CHARACTERS - 1)
    length = max(1, min(round(took * BAR_CHARACTERS / whole), BAR_CHARACTERS - start))
    bar = f"{'·' * start}{'█' * length}{'·' * (BAR_CHARACTERS - start - length)}"
    return f"{at / 1e6:7.2f} ms  {took / 1e6:7.2f} ms  {bar}"


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}es" if word.endswith("s") else f"{word}s"
