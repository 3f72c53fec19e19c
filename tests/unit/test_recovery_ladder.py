"""The recovery ladder on a modem: which rungs, in which order, and how long in all."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.hal import bearer
from firmware.hal.bearer import DOWN, LEVELS, STATUS_MS, UP
from firmware.hal.network import LinkDown, LinkStatus, NetworkLink
from firmware.services import link_supervisor as supervising
from firmware.services import links_in_turn as turns
from firmware.services.last_rung import GRANT_MS
from firmware.services.link_probe import HOST, REACHED, UNREACHED
from firmware.services.link_supervisor import LinkSupervisor, Way
from firmware.services.recovery_ladder import RUNGS, Ladder, Step
from tests.support.modem_faults import FAMILIES, Outcome, last_resort
from tests.support.modem_rig import ModemRig
from tests.support.virtual_time import run

#: From silent death to service, at worst.
WORST_MS = 300_000
#: ``hal.bearer``: a start or a reset ends within its time and a second.
LATE_MS = 1000
BOARDS = sorted(Path("boards").glob("*/board.toml"))


async def _nothing() -> None:
    return None


def _ladder(
    rig: ModemRig, steps: list[Step], reboot: "Callable[[str], object] | None" = None
) -> Ladder:
    async def probe() -> str:
        return REACHED if await rig.carrier.alive(2000) else UNREACHED

    return Ladder("mobile", rig.modem, probe, steps.append, reboot)  # type: ignore[arg-type]  # a coroutine function


async def _cause(rig: ModemRig) -> str:
    return (await rig.modem.status()).cause or UNREACHED


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
        assert not await _ladder(rig, steps).climb(await _cause(rig), _nothing)
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
            assert not await ladder.climb(await _cause(rig), _nothing)
            assert ladder.patience == patience
        assert [step.what for step in steps] == ["radio"] * 4
        times = [step.took_ms for step in steps]
        assert [round(ms / 35_000) for ms in times] == [1, 2, 4, 8]
        rig.chip.faults.registration = 1
        assert await ladder.climb(await _cause(rig), _nothing) and ladder.patience == 1

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
        assert not await _ladder(rig, steps, reboot).climb(await _cause(rig), _nothing)
        assert [step.what for step in steps] == [
            *bearer.LEVELS, "reboot",
        ]  # fmt: skip
        assert asked == ["no_carrier"] and steps[-1].result == "not now"
        # A device that does not hear is not told.
        rig.chip.faults.mute = True
        del steps[:]
        assert not await _ladder(rig, steps).climb(await _cause(rig), _nothing)
        assert [step.what for step in steps] == ["usb", "power"]

    run(main())


def test_a_bank_found_dead_on_the_way_up_ends_the_climb() -> None:
    """The link carries again: no harder reset mends the bank."""

    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        steps: list[Step] = []

        async def probe() -> str:
            return HOST

        ladder = Ladder("mobile", rig.modem, probe, steps.append, None, True)
        assert await ladder.climb(UNREACHED, _nothing)
        assert [(step.what, step.result) for step in steps] == [("bearer", HOST)]
        assert await ladder.nudge(UNREACHED, _nothing) and ladder.patience == 1

    run(main())


# ---- how long in all ----------------------------------------------------------------


def _worst_ms(levels: tuple[str, ...], restart: bool) -> int:
    """From a silent death to the last rung's end, with a beacon that is silent too."""
    notice = supervising.CARRYING_MS + 2 * supervising.LOOK_MS + supervising.AGAIN_MS
    rungs = dict(RUNGS)
    resets = sum(rungs[level] + LATE_MS + supervising.LOOK_MS for level in levels)
    return notice + resets + (rungs["reboot"] if restart else 0)


def _other_turns_ms() -> int:
    """Where links take turns: Wi-Fi is tried, then the modem is once dialled as before."""
    stop_ms = 10_000  # out of a call that is dead, and hung up
    wifi = turns.JOIN_MS + LATE_MS + supervising.LOOK_MS
    return stop_ms + wifi + dict(RUNGS)["bearer"] + LATE_MS + supervising.LOOK_MS


def _levels(link: dict[str, Any]) -> tuple[str, ...]:
    usb: Any = object() if "usb" in link else None
    power: Any = object() if "power_pin" in link else None
    none: Any = None
    if link["driver"] == "mm_modem":
        from firmware.drivers.mm_linux import MmModem

        return MmModem(none, link["apn"], usb=usb, power=power).levels
    from firmware.drivers.at_modem import AtModem

    return AtModem(none, none, link["apn"], usb=usb, power=power).levels


def test_the_whole_ladder_ends_within_five_minutes() -> None:
    assert set(LEVELS) | {"reboot"} == {rung for rung, _ in RUNGS}
    assert _worst_ms(LEVELS, True) <= WORST_MS
    assert STATUS_MS + supervising.PROBE_MS < supervising.LOOK_MS  # some of it is the beacon's
    assert dict(RUNGS)["reboot"] >= GRANT_MS


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.parent.name)
def test_each_board_s_ladder_ends_within_five_minutes(path: Path) -> None:
    board = tomllib.loads(path.read_text())
    links = board.get("link", {})
    for link in links.values():
        if not link["driver"].endswith("_modem"):
            continue
        worst_ms = _worst_ms(_levels(link), "restart" in board)
        if "micropython" in board["board"] and len(links) > 1:
            worst_ms += _other_turns_ms()
        assert worst_ms <= WORST_MS


def test_boards_with_modems_are_among_them() -> None:
    with_modems = [path.parent.name for path in BOARDS if "_modem" in path.read_text()]
    assert {"rpi-zero-2w", "esp32-s3"} <= set(with_modems)


@pytest.mark.parametrize("family", FAMILIES)
def test_service_is_back_when_only_a_restart_helps(family: str) -> None:
    outcome: Outcome = last_resort(family, "data")
    rungs = [step.split()[1] for step in outcome.steps]
    assert [rung for rung in rungs if rung in dict(RUNGS)] == [rung for rung, _ in RUNGS]
    assert outcome.took_ms <= WORST_MS
    assert last_resort(family, "mute").took_ms <= WORST_MS


class _Slow(bearer.Bearer):
    """A device that takes all the time that its contract leaves it, each time."""

    kind = "mobile"
    levels = LEVELS

    def __init__(self) -> None:
        self.dead = False
        self.resets: list[str] = []

    async def status(self) -> bearer.BearerStatus:
        await aio.sleep_ms(STATUS_MS)
        return bearer.BearerStatus(UP, "mobile", 4)

    async def start(self, timeout_ms: int) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def reset(self, level: str, timeout_ms: int) -> None:
        await aio.sleep_ms(timeout_ms + LATE_MS)
        self.resets.append(level)


class _NoLink(NetworkLink):
    async def connect(self, *_: Any) -> Any:
        raise LinkDown()

    async def status(self) -> LinkStatus:
        return LinkStatus(False, "mobile", 0)


def _slow_way(device: _Slow) -> Way:
    async def probe(link: NetworkLink, timeout_ms: int) -> str:
        if device.dead:
            await aio.sleep_ms(timeout_ms)
        return UNREACHED if device.dead else REACHED

    return Way("mobile", device, _NoLink(), probe, beacon=probe)


def test_the_last_rung_is_asked_for_in_time_by_the_slowest_device() -> None:
    async def main() -> None:
        device, asked = _Slow(), aio.Event()

        async def reboot(cause: str) -> bool:
            asked.set()
            return False

        way = _slow_way(device)
        supervisor = LinkSupervisor([way], reboot)
        supervisor.start()
        await aio.sleep_ms(60_000)
        assert way.state == UP
        device.dead, struck = True, aio.ticks_ms()
        await asked.wait()
        assert tuple(device.resets) == LEVELS
        assert aio.elapsed_ms(struck) + dict(RUNGS)["reboot"] <= WORST_MS
        await supervisor.stop()

    run(main())


def test_climbs_in_vain_of_before_do_not_slow_the_next_death_s() -> None:
    async def main() -> None:
        device = _Slow()
        way = _slow_way(device)
        supervisor = LinkSupervisor([way])
        supervisor.start()
        await aio.sleep_ms(60_000)
        device.dead = True
        while way.rest_ms < 4 * supervising.REST_MS:
            await aio.sleep_ms(1000)
        device.dead = False
        await aio.sleep_ms(120_000)
        assert way.state == UP and way.rest_ms == 0
        device.dead, struck = True, aio.ticks_ms()
        del device.resets[:]
        while way.rest_ms == 0:
            await aio.sleep_ms(1000)
        assert tuple(device.resets) == LEVELS and way.state == DOWN
        assert aio.elapsed_ms(struck) <= WORST_MS
        await supervisor.stop()

    run(main(), limit_s=7200.0)
