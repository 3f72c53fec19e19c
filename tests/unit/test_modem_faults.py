"""From a modem's death to service, in virtual time (tests/support/modem_faults.py)."""

import statistics

import pytest

from tests.support.modem_faults import KINDS, Outcome, simulate

WORST_MS = 300_000
MEDIAN_MS = 90_000
#: Deaths that nothing announces.
SILENT = ("data", "mute", "cfun")


def _judge(outcomes: list[Outcome]) -> None:
    late = [outcome for outcome in outcomes if outcome.took_ms > WORST_MS]
    assert late == []
    silent = [outcome.took_ms for outcome in outcomes if outcome.kind in SILENT]
    assert statistics.median(silent) <= MEDIAN_MS
    assert {outcome.kind for outcome in outcomes} == set(KINDS)


def test_service_is_back_after_25_deaths() -> None:
    _judge([simulate(seed) for seed in range(25)])


@pytest.mark.soak
def test_service_is_back_after_500_deaths() -> None:
    outcomes = [simulate(seed) for seed in range(500)]
    _judge(outcomes)
    taken = sorted(outcome.took_ms for outcome in outcomes)
    print(f"median {taken[250]} ms, worst {taken[-1]} ms")
