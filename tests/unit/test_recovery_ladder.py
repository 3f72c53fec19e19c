"""The recovery ladder on a modem: which rungs, in which order, and how long in all."""

from collections.abc import Callable

import pytest

from firmware.hal import bearer
from firmware.hal.bearer import STATUS_MS
from firmware.services import link_supervisor as supervising
from firmware.services.recovery_ladder import RUNGS, Ladder, Step
from tests.support.modem_rig import ModemRig
from tests.support.virtual_time import run


async def _nothing() -> None:
    return None


def _ladder(
    rig: ModemRig, steps: list[Step], reboot: "Callable[[str], object] | None" = None
) -> Ladder:
    async def probe() -> bool:
        return await rig.carrier.alive(2000)

    return Ladder("mobile", rig.modem, probe, steps.append, reboot)  # type: ignore[arg-type]  # a coroutine function


@pytest.mark.parametrize(
    ("sim", "cause"), [("absent", "no_sim"), ("puk", "sim_puk"), ("pin", "sim_pin")]
)
def test_no_reset_is_tried_where_none_helps(sim: str, cause: str) -> None:
    async def main() -> None:
        rig = ModemRig()
        rig.chip.sim, rig.chip.sim_pin = sim, "1234"
        with pytest.raises(bearer.BearerError):
            await rig.modem.start(40_000)
        steps: list[Step] = []
        assert not await _ladder(rig, steps).climb(_nothing)
        assert steps == [] and (await rig.modem.status()).cause == cause

    run(main())


def test_a_missing_network_is_searched_for_and_not_restarted_for() -> None:
    async def main() -> None:
        rig = ModemRig()
        rig.chip.faults.registration = 2
        with pytest.raises(bearer.NoService):
            await rig.modem.start(20_000)
        steps: list[Step] = []
        ladder = _ladder(rig, steps)
        for patience in (2, 4, 8, 8):
            assert not await ladder.climb(_nothing)
            assert ladder.patience == patience
        assert [step.what for step in steps] == ["radio"] * 4
        times = [step.took_ms for step in steps]
        assert [round(ms / 40_000) for ms in times] == [1, 2, 4, 8]
        rig.chip.faults.registration = 1
        assert await ladder.climb(_nothing) and ladder.patience == 1

    run(main())


def test_every_rung_of_a_dead_modem_in_order() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        rig.chip.faults.data_dead = True
        rig.chip.faults.cured_by = frozenset()
        asked: list[str] = []

        async def reboot(cause: str) -> bool:
            asked.append(cause)
            return False

        steps: list[Step] = []
        assert not await _ladder(rig, steps, reboot).climb(_nothing)
        assert [step.what for step in steps] == [
            *bearer.LEVELS, "reboot",
        ]  # fmt: skip
        assert asked == ["no_carrier"] and steps[-1].result == "not now"
        # A device that does not hear is not told.
        rig.chip.faults.mute = True
        del steps[:]
        assert not await _ladder(rig, steps).climb(_nothing)
        assert [step.what for step in steps] == ["usb", "power"]

    run(main())


def test_the_whole_ladder_ends_within_five_minutes() -> None:
    """From death to the last rung, each at its limit."""
    look = STATUS_MS + supervising.PROBE_MS
    notice = supervising.CARRYING_MS + look + supervising.AGAIN_MS + look
    rungs = sum(most_ms + look for _, most_ms in RUNGS)
    assert notice + rungs <= 300_000
