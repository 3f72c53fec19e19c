"""Services on D-Bus that answer nonsense: whatever they say, of whatever type, a bearer on them
gives a state or a named error, each in its time. No bus: the answers are drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from firmware import aio
from firmware.buses.dbus_linux import DBus, ServiceRefused, Signals
from firmware.buses.wire import BusError
from firmware.drivers.mm_linux import MmModem
from firmware.drivers.nm_linux import NmCable
from firmware.drivers.wifi_linux import NmWifi
from firmware.hal import bearer
from firmware.hal.bearer import STATUS_MS, BearerError, BearerStatus
from firmware.hal.wifi import WPA2
from tests.support.virtual_time import run

NM = "org.freedesktop.NetworkManager"
MODEM = "org.freedesktop.ModemManager1.Modem"
#: Properties that the drivers read, with a value of the right type each.
RIGHT: dict[str, list[Any]] = {
    "State": [-1, 2, 3, 8, 10, 20, 30, 40, 60, 100, 110, 120],
    "Udi": ["/m"], "IpInterface": ["wwan0"], "ActiveConnection": ["/", "/a"],
    "Ip4Config": ["/", "/i"], "AvailableConnections": [[], ["/p"]],
    "AddressData": [[{"address": "10.0.0.7"}]], "NameserverData": [[{"address": "9.9.9.9"}]],
    "Connection": ["/p"], "WirelessEnabled": [True, False], "ActiveAccessPoint": ["/", "/x"],
    "AccessPoints": [[], ["/x"]], "LastScan": [1, 2, 3], "Ssid": [b"shop", b""],
    "Strength": [0, 60], "Flags": [0, 1], "WpaFlags": [0], "RsnFlags": [0x100, 0x400],
    "EquipmentIdentifier": ["490154203237518"], "Device": ["/d"], "StateFailedReason": [0, 2],
    "UnlockRequired": [0, 1, 2, 4], "UnlockRetries": [{2: 3}, {2: 1}, {}], "Sim": ["/s"],
    "SignalQuality": [[60, True], []], "OperatorName": ["TEST"], "RegistrationState": [1, 2, 3, 5],
    "Number": ["+8613800"], "Text": ["hello"],
}  # fmt: skip
WRONG: list[Any] = [
    None, True, -1, 7, 2**40, 1.5, "", "text", "/", b"", b"\xff\x00", [], [1], ["/x"], [[]],
    {}, {"a": 1}, {1: {}}, [{"address": 1}], (1, 2), "\x00", "x" * 5000,
]  # fmt: skip


class NonsenseBus(DBus):
    """``wrong``: one in so many values is of any type; as many calls fail or dawdle."""

    def __init__(self, seed: int, wrong: int) -> None:
        super().__init__()
        self._draw = random.Random(seed)
        self._wrong = wrong

    def _one(self, values: list[Any]) -> Any:
        return self._draw.choice(WRONG if not self._draw.randrange(self._wrong) else values)

    def _properties(self) -> dict[str, Any]:
        return {
            name: self._one(values) for name, values in RIGHT.items() if self._draw.random() < 0.95
        }

    async def call(
        self,
        service: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        timeout_ms: int = 5000,
    ) -> list[Any]:
        await aio.sleep_ms(self._draw.choice([1, 1, 1, 20]))
        fate = self._draw.randrange(self._wrong * 4)
        if fate == 0:
            raise ServiceRefused("org.example.Error.UnknownObject", member)
        if fate == 1:
            await aio.sleep_ms(timeout_ms)
            raise BusError("no answer")
        if fate == 2:
            return []
        profile = {
            "connection": {"type": self._one(["802-11-wireless", "gsm"]), "id": self._one(["x"])},
            "802-11-wireless": self._one([{"ssid": b"shop"}]),
        }
        answers: dict[str, Any] = {
            "GetAll": self._properties(), "GetDevices": ["/d0", "/d1"], "List": ["/sms"],
            "GetManagedObjects": {
                "/m": {MODEM: self._properties(), MODEM + ".Modem3gpp": self._properties()}
            },
            "ListConnections": ["/p"], "GetSettings": profile, "AddConnection": "/p",
            "ActivateConnection": "/a", "GetDeviceByIpIface": "/d0",
        }  # fmt: skip
        return [self._one([answers[member]])] if member in answers else []

    async def listen(self, service: str, path: str, interface: str) -> Signals:
        signals = Signals(None, "", path, interface, "")
        for _ in range(self._draw.randrange(4)):
            said = [self._one([self._draw.choice([30, 60, 100, 120])]) for _ in range(3)]
            said = said[: self._draw.choice([3, 3, 3, 2, 0])]
            signals._queue.put((self._draw.choice(["StateChanged", "Other"]), said))
        return signals

    async def unlisten(self, signals: Signals) -> None:
        return

    async def set(self, *_: Any) -> None:
        await self.call(NM, "/", NM, "Set")


def checked(status: BearerStatus) -> None:
    assert status.state in (bearer.UP, bearer.DEGRADED, bearer.DOWN)
    assert status.cause in bearer.CAUSES and 0 <= status.bars <= 4
    assert isinstance(status.operator, str) and isinstance(status.address, str)
    assert all(isinstance(one, str) for one in status.dns)


async def story(link: Any) -> None:
    acts: list[tuple[int, Any]] = [
        (5000, lambda: link.start(5000)),
        *((5000, lambda level=level: link.reset(level, 5000)) for level in link.levels),
        (60_000, link.stop),
    ]
    if isinstance(link, NmWifi):
        acts += [
            (9000, lambda: link.scan(3000)), (15_000, link.known),
            (15_000, lambda: link.forget(b"shop")),
            (5000, lambda: link.join(b"shop", WPA2, "password", 5000)),
        ]  # fmt: skip
    if isinstance(link, MmModem):
        acts += [(30_000, link.messages), (30_000, lambda: link.enter_pin("1234"))]
        acts += [(30_000, link.sim)]
    for limit_ms, act in acts:
        began = aio.ticks_ms()
        try:
            await act()
        except BearerError as error:
            assert error.cause in bearer.CAUSES
        assert aio.elapsed_ms(began) <= limit_ms + 1000
        began = aio.ticks_ms()
        checked(await link.status())
        assert aio.elapsed_ms(began) <= STATUS_MS


@pytest.mark.parametrize("seed", range(24))
def test_nonsense_is_a_state_or_a_named_error_in_time(seed: int) -> None:
    async def main() -> None:
        bus = NonsenseBus(seed, wrong=(3, 10, 40, 200)[seed % 4])
        for link in (NmCable(bus, "eth0"), NmWifi(bus, "wlan0"), MmModem(bus, "cmnet", "1234")):
            await story(link)

    run(main())
