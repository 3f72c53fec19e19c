"""Debian's ModemManager and NetworkManager with a modem on USB: found by its plugin, called by
our driver, PPP into a network of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.dbus_linux import DBus, text
from firmware.drivers.mm_linux import MODEM, MmModem
from firmware.drivers.mm_linux import SERVICE as MODEM_MANAGER
from firmware.hal import bearer
from firmware.hal.bearer import BearerError, BearerMute
from tests.rig.guest.ppp_far import NEAR, SERVER, CallEnd, FarNetwork, goes_through, reached
from tests.rig.guest.services import Services
from tests.rig.guest.usb_modem import AT, UsbModem, there
from tests.rig.guest.waiting import Story, until
from tests.support.dbus_rig import Played

POLKIT = "org.freedesktop.PolicyKit1"
RULES = Path("/etc/udev/rules.d/79-rig.rules")
#: An EC25's first port is its maker's, for diagnosis. Ours is silent there, and ModemManager
#: would wait six seconds for its word each time.
NO_DIAGNOSIS = 'SUBSYSTEM=="tty", ATTRS{bInterfaceNumber}=="00", ENV{ID_MM_PORT_IGNORE}="1"\n'
LIMIT_MS = 110_000


class Office:
    """The daemons, and the modem's plug."""

    def __init__(self) -> None:
        self.services = Services("modem")
        RULES.parent.mkdir(parents=True, exist_ok=True)
        RULES.write_text(NO_DIAGNOSIS)
        self.services.start("/usr/lib/systemd/systemd-udevd")
        until(Path("/run/udev/control").exists, "udevd")
        for folder in ("/run/lock", "/var/lock", "/var/lib/ModemManager"):
            Path(folder).mkdir(parents=True, exist_ok=True)
        self.usb = UsbModem(CallEnd)
        self.services.network_manager("type:gsm")

    def network(self) -> FarNetwork:
        """What is at the end of the call."""
        calls = [self.usb.chip.port(number).call for number in (0, 1)]
        (call,) = [call for call in calls if isinstance(call, CallEnd)]
        return call.network

    def close(self) -> None:
        """All of it ends; the modem first, or ModemManager waits long for a port in a call."""
        self.usb.unplug()
        self.services.close()
        self.usb.close()
        RULES.unlink()


@pytest.fixture
def office(need: Callable[..., None]) -> Iterator[Office]:
    need("dummy_hcd", "libcomposite", "usb_f_serial", "option", "ppp_generic", "ppp_async")
    office = Office()
    yield office
    office.close()


def _run(office: Office, story: Callable[[DBus, MmModem], Story]) -> None:
    async def main() -> None:
        # Root may do everything, says polkit, which ModemManager asks and the guest has not.
        polkit = Played(POLKIT)
        polkit.objects = {"/org/freedesktop/PolicyKit1/Authority": {POLKIT + ".Authority": {}}}
        polkit.methods = {
            (POLKIT + ".Authority", "CheckAuthorization"): lambda *_: (
                "(bba{ss})",
                [[True, False, {}]],
            )
        }
        await polkit.appear(office.services.address)
        # Without a file of its own it speaks to the console as well.
        log = office.services.log("ModemManager-debug")
        office.services.start("ModemManager", "--debug", f"--log-file={log}")
        bus = DBus(office.services.address)
        modem = MmModem(bus, "cmnet")
        try:
            await story(bus, modem)
        finally:
            await modem.stop()
            await bus.close()
            await polkit.vanish()

    aio.run(aio.deadline(LIMIT_MS, main(), "the test"))


async def started(modem: MmModem) -> None:
    """As the supervisor does it: again while the daemons or the modem start."""
    while True:
        try:
            return await modem.start(60_000)
        except BearerMute:
            await aio.sleep_ms(500)


async def plugin(bus: DBus) -> str:
    """Who takes care of the first modem."""
    objects = await bus.objects(MODEM_MANAGER, "/org/freedesktop/ModemManager1")
    (values,) = objects.values()
    return text(values[MODEM], "Plugin")


def test_found_by_its_plugin_and_called(office: Office) -> None:
    office.usb.plug()

    async def story(bus: DBus, modem: MmModem) -> None:
        await started(modem)
        assert await plugin(bus) == "quectel"
        status = await modem.status()
        assert (status.state, status.address) == (bearer.UP, NEAR)
        assert status.operator == "OPEN MOBILE" and status.bars > 0 and SERVER in status.dns
        assert modem.interface.startswith("ppp") and office.usb.chip.context[1] == "cmnet"
        far = office.network()
        far.serve()
        far.weather(250, 100, 10)
        stream = await reached(modem.interface)
        await goes_through(stream, 4000)
        stream.close()
        await modem.stop()
        assert (await modem.status()).cause == "stopped"
        await modem.start(60_000)
        assert (await modem.status()).state == bearer.UP

    _run(office, story)


def test_pulled_out_of_its_call_and_back(office: Office) -> None:
    office.usb.plug()

    async def story(bus: DBus, modem: MmModem) -> None:
        await started(modem)
        office.usb.unplug()
        until(lambda: not there(AT), "the end of the ports")
        while (await modem.status()).cause != "mute":
            await aio.sleep_ms(200)
        with pytest.raises(BearerError):
            await modem.start(1_000)
        office.usb.plug()
        await started(modem)
        assert (await modem.status()).state == bearer.UP

    _run(office, story)
