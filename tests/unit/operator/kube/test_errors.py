"""Answers of the API server, sorted."""

from __future__ import annotations

import json

import pytest

from realtime_operator.kube.errors import from_answer

ANSWERS = {
    "a missing right": (403, {"message": "deployments is forbidden"}, "forbidden", False),
    "a quota": (403, {"message": 'pods "x" is forbidden: exceeded quota: compute'}, "quota", False),
    "an object that is gone": (404, {"message": "not found", "details": {"name": "chat"}}, "gone", False),
    "a kind that the cluster does not know": (404, {"message": "404 page not found"}, "unserved", False),
    "an object that is there already": (409, {"reason": "AlreadyExists", "message": "exists"}, "exists", False),
    "another version": (409, {"reason": "Conflict", "message": "has been modified"}, "conflict", False),
    "an object that is refused": (422, {"message": "Invalid value"}, "rejected", True),
    "a field of a StatefulSet that cannot change": (
        422,
        {"message": "spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden"},
        "immutable",
        True,
    ),
    "an unknown field, which comes as a server error": (
        500,
        {"message": "failed to create typed patch object: .spec.x: field not declared"},
        "rejected",
        True,
    ),
    "a server error": (503, {"message": "apiserver is shutting down"}, "unavailable", False),
    "too many requests": (429, {"message": "try again"}, "unavailable", False),
}


@pytest.mark.parametrize("sentence", ANSWERS)
def test_an_answer_is_sorted(sentence: str) -> None:
    status, body, kind, permanent = ANSWERS[sentence]
    refusal = from_answer(status, json.dumps(body)).refusal
    assert (refusal.kind, refusal.permanent) == (kind, permanent)


def test_an_answer_that_is_no_status_is_quoted() -> None:
    assert from_answer(502, "<html>bad gateway</html>").message == "<html>bad gateway</html>"
    assert from_answer(500, "[]").message == "[]"
    assert from_answer(500, "").message == "HTTP 500"


def conflict(*messages: str) -> str:
    causes = [{"reason": "FieldManagerConflict", "message": message} for message in messages]
    return json.dumps({"reason": "Conflict", "message": "Apply failed", "details": {"causes": causes}})


def test_a_person_who_edited_a_field_does_not_own_it_for_ever() -> None:
    error = from_answer(409, conflict('conflict with "kubectl-edit" using apps/v1'))
    assert error.owners == ()


def test_a_manager_that_applies_a_field_will_set_it_again() -> None:
    edited = 'conflict with "kubectl-edit" using apps/v1'
    error = from_answer(409, conflict('conflict with "argocd-controller"', edited))
    assert error.owners == ("argocd-controller",)


def test_a_controller_that_scales_does_not_own_replicas() -> None:
    error = from_answer(409, conflict('conflict with "kube-controller-manager" with subresource "scale" using apps/v1'))
    assert error.owners == ()
