"""Conformance of hal.mobile: a SIM, its PIN, what a data connection is made with, messages.

ModemManager is played on a real bus, so its clock is real; the modem that we speak to ourselves
is the virtual one, on virtual time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from dbus_fast import Variant

from firmware import aio
from firmware.buses.dbus_linux import DBus
from firmware.drivers.at_modem import AtModem
from firmware.drivers.mm_linux import MmModem
from firmware.hal import bearer
from firmware.hal.bearer import BearerError, SimPinNeeded, SimPukNeeded
from firmware.hal.mobile import ASKS_PIN, ASKS_PUK, MUTE, READY, MobileSettings
from tests.portable.test_modem_scripts import CHINESE, HELLO
from tests.support.dbus_rig import PrivateBus, private_bus
from tests.support.modem_rig import ModemRig
from tests.support.played_network import PlayedMm, PlayedNm
from tests.support.virtual_time import run

KINDS = pytest.mark.parametrize("kind", ["at", "at-one-port", "mm"])
PIN, WRONG = "4711", "1234"
START_MS = 40_000
LIMIT_MS = 600_000
#: What the two messages below say.
TEXTS = ["hellohello", "OK验证码"]


class AtRig:
    """Our own driver on the virtual modem."""

    def __init__(self, ports: int) -> None:
        self._rig = ModemRig("ec25", ports)
        self.modem: AtModem | MmModem = self._rig.modem

    async def lock(self, tries: int = 3) -> None:
        """The SIM asks for PIN."""
        chip = self._rig.chip
        chip.sim, chip.sim_pin, chip.tries = "pin", PIN, tries

    def block(self) -> None:
        """The SIM asks for its PUK."""
        self._rig.chip.sim = "puk"

    def tries(self) -> int:
        """PIN entries left."""
        return self._rig.chip.tries

    def kill(self) -> None:
        """The modem answers nothing more."""
        self._rig.chip.faults.mute = True
        self._rig.chip.faults.cured_by = frozenset()

    def receive(self) -> None:
        """The two messages, and between them one that cannot be read."""
        for pdu in (HELLO, b"00FFFF", CHINESE):
            self._rig.chip.receive_message(pdu.decode())

    def apn(self) -> str:
        """Of the last call."""
        return self._rig.chip.context[1]


class MmRig:
    """ModemManager and NetworkManager, and the driver on them."""

    def __init__(self, daemon: PrivateBus, bus: DBus) -> None:
        self._address = daemon.address
        self.nm, self.mm = PlayedNm(), PlayedMm()
        self.modem: AtModem | MmModem = MmModem(bus, "cmnet")

    async def open(self) -> None:
        await self.nm.appear(self._address)
        await self.mm.appear(self._address)

    async def close(self) -> None:
        await self.nm.vanish()
        await self.mm.vanish()

    async def lock(self, tries: int = 3) -> None:
        """The SIM asks for PIN."""
        await self.mm.vanish()
        self.mm = PlayedMm(PIN)
        self.mm.tries = tries
        self.mm.plug()
        await self.mm.appear(self._address)

    def block(self) -> None:
        """The SIM asks for its PUK."""
        self.mm.values["UnlockRequired"] = Variant("u", 4)

    def tries(self) -> int:
        """PIN entries left."""
        return self.mm.tries

    def kill(self) -> None:
        """The modem answers nothing more: ModemManager has it no longer."""
        self.mm.unplug()

    def receive(self) -> None:
        """The two messages, and between them one that cannot be read."""
        for text in (TEXTS[0], "", TEXTS[1]):
            self.mm.message(text)
        self.mm.messages[list(self.mm.messages)[1]]["Text"] = Variant("ay", b"data")

    def apn(self) -> str:
        """Of the last connection."""
        *_, last = self.nm.profiles.values()
        return str(last["gsm"]["apn"].value)


Rig = AtRig | MmRig


async def _told(story: Awaitable[None], limit_ms: int = LIMIT_MS) -> None:
    name, _ = await aio.first(("story", story), timeout_ms=limit_ms)  # type: ignore[arg-type]  # an async function's
    assert name == "story", "the story did not end"


def _on_mm(story: Callable[[Rig], Awaitable[None]]) -> None:
    with private_bus() as daemon:

        async def main() -> None:
            bus = DBus(daemon.address)
            rig = MmRig(daemon, bus)
            try:
                await rig.open()
                await _told(story(rig), 40_000)
            finally:
                await bus.close()
                await rig.close()

        aio.run(main())


def play(kind: str, story: Callable[[Rig], Awaitable[None]]) -> None:
    """Run ``story``, which must end by itself."""
    if kind == "mm":
        _on_mm(story)
        return

    async def main() -> None:
        await _told(story(AtRig(2 if kind == "at" else 1)))

    run(main())


@KINDS
def test_settings_count_from_the_next_start_on(kind: str) -> None:
    async def story(rig: Rig) -> None:
        modem = rig.modem
        assert modem.settings.apn == "cmnet" and modem.settings.roaming
        assert (await modem.sim()).state == READY
        await modem.start(START_MS)
        assert rig.apn() == "cmnet"
        modem.set_up(MobileSettings("shop.example", roaming=False), "")
        assert modem.settings.apn == "shop.example" and rig.apn() == "cmnet"
        await modem.stop()
        await modem.start(START_MS)
        assert rig.apn() == "shop.example"
        assert (await modem.status()).state == bearer.UP

    play(kind, story)


@KINDS
def test_a_pin_typed_by_hand_opens_the_sim(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.lock()
        sim = await rig.modem.sim()
        assert (sim.state, sim.tries) == (ASKS_PIN, 3)
        with pytest.raises(SimPinNeeded):
            await rig.modem.start(START_MS)
        assert rig.tries() == 3
        await rig.modem.enter_pin(PIN)
        assert (await rig.modem.sim()).state == READY
        await rig.modem.enter_pin(PIN)  # nobody asks for it: harmless
        await rig.modem.start(START_MS)
        assert (await rig.modem.status()).state == bearer.UP

    play(kind, story)


@KINDS
def test_a_wrong_pin_is_tried_once_and_never_told(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.lock()
        for _ in range(3):
            with pytest.raises(SimPinNeeded) as caught:
                await rig.modem.enter_pin(WRONG)
            assert WRONG not in str(caught.value)
            assert rig.tries() == 2
        sim = await rig.modem.sim()
        assert (sim.state, sim.tries) == (ASKS_PIN, 2)
        await rig.modem.enter_pin(PIN)
        assert (await rig.modem.sim()).state == READY

    play(kind, story)


@KINDS
def test_the_last_try_is_left_to_the_operators_shop(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.lock(tries=1)
        with pytest.raises(SimPinNeeded, match="one try"):
            await rig.modem.enter_pin(PIN)
        assert rig.tries() == 1

    play(kind, story)


@KINDS
@pytest.mark.parametrize("pin", ["", "123", "123456789", "47a1", "４７１１"])
def test_what_is_no_pin_reaches_no_sim(kind: str, pin: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.lock()
        with pytest.raises(ValueError, match=r"digits|printable"):
            await rig.modem.enter_pin(pin)
        assert rig.tries() == 3

    play(kind, story)


@KINDS
def test_a_stored_pin_is_tried_only_with_all_tries_left(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.lock(tries=2)
        rig.modem.set_up(MobileSettings("cmnet"), WRONG)
        with pytest.raises(SimPinNeeded):
            await rig.modem.start(START_MS)
        assert rig.tries() == 2
        await rig.lock()
        rig.modem.set_up(MobileSettings("cmnet"), PIN)
        await rig.modem.start(START_MS)
        assert (await rig.modem.status()).state == bearer.UP

    play(kind, story)


@KINDS
def test_a_sim_that_wants_its_puk(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.lock()
        rig.block()
        assert (await rig.modem.sim()).state == ASKS_PUK
        with pytest.raises(SimPukNeeded):
            await rig.modem.enter_pin(PIN)
        with pytest.raises(SimPukNeeded):
            await rig.modem.start(START_MS)

    play(kind, story)


@KINDS
def test_a_dead_modem_is_a_state(kind: str) -> None:
    async def story(rig: Rig) -> None:
        rig.kill()
        assert (await rig.modem.sim()).state == MUTE
        with pytest.raises(BearerError):
            await rig.modem.messages()
        assert (await rig.modem.sim()).state == MUTE

    play(kind, story)


@KINDS
def test_messages_are_taken_once_and_what_is_none_goes_too(kind: str) -> None:
    async def story(rig: Rig) -> None:
        rig.receive()
        found = await rig.modem.messages()
        assert [message.text for message in found] == TEXTS
        for message in found:
            assert message.sender and (message.part, message.parts) == (1, 1)
        assert await rig.modem.messages() == []
        await rig.modem.start(START_MS)
        assert (await rig.modem.status()).state == bearer.UP

    play(kind, story)
