"""What keeps pods from starting that their kubelets cannot mount: the words for it. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_operator.objects import secret_files
from realtime_operator.plan import Finding, Verdict
from realtime_operator.snapshot import CREATING_SECONDS, Pod, Snapshot, being_created
from realtime_operator.status import reasons
from realtime_operator.target import Target

_LONGEST_NOTE = 400


def failed(target: Target, snapshot: Snapshot) -> Verdict:
    """The first pod of which something cannot be mounted."""
    creating = [pod for _, pod in snapshot.pods if pod.creating and not pod.deleting]
    found = [_finding(target, pod, note) for pod in creating if (note := snapshot.failed_mounts.get(pod.name))]
    return Verdict(
        findings=tuple(found[:1]),
        facts=frozenset(map(being_created, creating)),
        look_again_seconds=CREATING_SECONDS if creating else None,
    )


def _finding(target: Target, pod: Pod, note: str) -> Finding:
    lacking = tuple(_lacking(target, note)) if f'"{secret_files.VOLUME}"' in note else ()
    said = note[:_LONGEST_NOTE].strip()
    if not lacking:
        return Finding(reasons.DEGRADED, reasons.MOUNT_FAILED, f"Pod {pod.name} cannot start: {said}")
    return Finding(reasons.DEGRADED, reasons.SECRET_MISSING, f"Pod {pod.name} cannot start. {' '.join(lacking)}")


def _lacking(target: Target, note: str) -> Iterator[str]:
    """What to do about each Secret and key that a kubelet names."""
    for ref in sorted(set(secret_files.wanted(target).values()), key=lambda ref: (ref.name, ref.key)):
        if f'secret "{ref.name}" not found' in note:
            make = f"kubectl -n {target.namespace} create secret generic {ref.name} --from-file={ref.key}=FILE"
            yield f"There is no Secret {ref.name}: make it with `{make}`."
        elif _names_key(note, ref.key):
            yield f"Secret {ref.name} has no key {ref.key}: add it."


def _names_key(note: str, key: str) -> bool:
    _, found, after = note.partition("non-existent secret key: ")
    return bool(found) and key in after.replace(",", " ").replace("]", " ").split()
