"""The simulation sees: each rule of the protocol, taken out, is missed within a few dozen seeds."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.runs import Setup, run

SEEDS = range(400)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rule", MUTATIONS)
def test_a_protocol_without_one_of_its_rules_is_caught(rule: str) -> None:
    mutation = MUTATIONS[rule]
    setup = Setup(rule, frozenset(mutation.faults))
    for seed in SEEDS:
        report = run(seed, setup)
        if any(mutation.shows_in(sentence) for sentence in report.violations):
            if mutation.beside and run(seed, Setup(mutation.beside, setup.only)).violations:
                continue
            assert not run(seed, Setup(only=setup.only)).violations, f"seed {seed} fails with the rule in force"
            return
    pytest.fail(f"{len(SEEDS)} seeds have not shown that anything is amiss")
