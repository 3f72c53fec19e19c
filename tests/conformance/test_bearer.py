"""Conformance of hal.bearer: what every driver of a link must do."""

import pytest

from firmware import aio
from firmware.buses.wire_net import WireNet
from firmware.drivers.cable import Cable
from firmware.hal import bearer
from firmware.hal.bearer import BearerError, BearerMute
from host_tools.emulator.chips.net import NetChip
from tests.conformance.test_network import ChipWire
from tests.support.modem_rig import ModemRig, now_us
from tests.support.virtual_time import run

FAMILIES = ("generic", "ec25", "ec200", "sim7600", "a7670")
RIGS = [(family, ports) for family in FAMILIES for ports in (1, 2)]


@pytest.mark.parametrize(("family", "ports"), RIGS)
def test_up_and_down(family: str, ports: int) -> None:
    async def main() -> None:
        rig = ModemRig(family, ports)
        status = await rig.modem.status()
        assert (status.state, status.cause) == (bearer.DOWN, "stopped")
        assert status.kind == rig.modem.kind == "mobile"
        await rig.modem.start(40_000)
        await rig.modem.start(40_000)  # harmless
        assert len(rig.far) == 1
        assert await rig.carrier.alive(2000)
        status = await rig.modem.status()
        assert (status.state, status.cause) == (bearer.UP, "")
        # +CSQ tells field strength, not the quality of LTE: a bar more.
        assert status.bars == (4 if family == "sim7600" else 3)
        assert status.address == "10.64.0.7"
        assert status.operator == "OPEN MOBILE" and not status.roaming
        if ports == 2:
            assert (status.sent > 0) == (family in ("ec25", "ec200"))
        await rig.modem.stop()
        await rig.modem.stop()
        assert rig.far[0].closed
        status = await rig.modem.status()
        assert (status.state, status.cause, status.address) == (bearer.DOWN, "stopped", "")
        await rig.modem.start(40_000)
        assert await rig.carrier.alive(2000)

    run(main())


@pytest.mark.parametrize(("family", "ports"), RIGS)
def test_every_reset_ends_up(family: str, ports: int) -> None:
    async def main() -> None:
        rig = ModemRig(family, ports)
        assert rig.modem.levels == bearer.LEVELS
        await rig.modem.start(40_000)
        for level in bearer.LEVELS:
            before = len(rig.far)
            await rig.modem.reset(level, 90_000)
            assert len(rig.far) == before + 1 and rig.far[before - 1].closed
            assert await rig.carrier.alive(2000)
        # Opened once, and again after each restart that took the ports away.
        assert rig.opened == 3 * ports
        bare = ModemRig(family, ports, outside=())
        assert bare.modem.levels == ("bearer", "radio", "modem")
        for level in ("usb", "reboot", ""):
            with pytest.raises(ValueError, match="no reset"):
                await bare.modem.reset(level, 1000)

    run(main())


def test_a_dead_device_is_a_state_and_a_named_error_in_time() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        rig.chip.faults.mute = True
        rig.chip.faults.cured_by = frozenset({"power"})
        started = aio.ticks_ms()
        status = await rig.modem.status()
        assert (status.state, status.cause) == (bearer.DEGRADED, "mute")
        assert aio.elapsed_ms(started) < 6000
        for level in ("bearer", "radio", "modem", "usb"):
            started = aio.ticks_ms()
            with pytest.raises(BearerMute) as caught:
                await rig.modem.reset(level, 20_000)
            assert caught.value.cause == "mute"
            assert aio.elapsed_ms(started) <= 21_000
            assert (await rig.modem.status()).state == bearer.DOWN
        await rig.modem.reset("power", 40_000)
        assert (await rig.modem.status()).state == bearer.UP

    run(main())


def test_an_unplugged_device_is_mute_and_comes_back() -> None:
    async def main() -> None:
        rig = ModemRig()
        await rig.modem.start(40_000)
        rig.wire.unplugged = True
        status = await rig.modem.status()
        assert status.cause == "mute"
        await rig.modem.stop()
        with pytest.raises(BearerMute, match="unplugged"):
            await rig.modem.start(10_000)
        rig.wire.unplugged = False
        await rig.modem.start(40_000)
        assert (await rig.modem.status()).state == bearer.UP

    run(main())


def test_a_start_is_bounded_and_says_why() -> None:
    async def main() -> None:
        rig = ModemRig()
        rig.chip.register_us = 3_000_000_000
        started = aio.ticks_ms()
        with pytest.raises(BearerError) as caught:
            await rig.modem.start(15_000)
        assert caught.value.cause == "searching"
        assert aio.elapsed_ms(started) <= 16_000
        status = await rig.modem.status()
        assert (status.state, status.cause) == (bearer.DOWN, "searching")

    run(main())


def test_a_cancelled_start_leaves_a_usable_bearer() -> None:
    async def main() -> None:
        for after in (10, 130, 700, 3100, 3500, 4000, 4400):
            rig = ModemRig(ports=1)
            name, _ = await aio.first(("start", rig.modem.start(40_000)), timeout_ms=after)
            if name == "timeout":
                await rig.modem.start(40_000)
            assert await rig.carrier.alive(2000)

    run(main())


def test_a_cable_has_its_own_link_and_nothing_to_reset() -> None:
    async def main() -> None:
        chip = NetChip(now_us)
        cable = Cable(WireNet(ChipWire(chip)))
        await cable.start(1000)
        status = await cable.status()
        assert (status.state, status.kind, status.bars) == (bearer.UP, "ethernet", 4)
        chip.link(False)
        with pytest.raises(BearerError) as caught:
            await cable.start(1000)
        assert caught.value.cause == "no_carrier"
        status = await cable.status()
        assert (status.state, status.cause) == (bearer.DOWN, "no_carrier")
        chip.up, chip.bars = True, 0
        assert (await cable.status()).state == bearer.DEGRADED
        await cable.stop()
        await cable.stop()
        assert cable.levels == ()
        with pytest.raises(ValueError, match="no reset"):
            await cable.reset("radio", 1000)

    run(main())
