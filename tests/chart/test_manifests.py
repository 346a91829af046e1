"""`kubectl apply -k manifests` and `helm install` come to the same objects."""

from __future__ import annotations

import pytest

from tests.chart.rendering import NAMESPACE, Object, kustomized, render

HELMS_OWN = {"app.kubernetes.io/managed-by", "helm.sh/chart"}


def by_place(found: list[Object]) -> dict[tuple[str, str, str], Object]:
    """Return objects by kind, namespace and name, without what only Helm adds."""
    result = {}
    for one in found:
        metadata = one["metadata"]
        if one["kind"] == "CustomResourceDefinition":
            metadata.pop("annotations", None)  # Helm's order to keep it
        else:
            metadata["labels"] = {k: v for k, v in metadata["labels"].items() if k not in HELMS_OWN}
        place = (one["kind"], metadata.get("namespace", ""), metadata["name"])
        assert place not in result, f"{place} is there twice"
        result[place] = one
    return result


@pytest.fixture(scope="module")
def ours() -> dict[tuple[str, str, str], Object]:
    return by_place(kustomized())


def test_the_manifests_have_the_charts_objects_and_their_namespace(ours: dict[tuple[str, str, str], Object]) -> None:
    namespace = ours.pop(("Namespace", "", NAMESPACE))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    chart = by_place(render())
    assert sorted(ours) == sorted(chart)
    for place, one in chart.items():
        assert ours[place] == one, place
