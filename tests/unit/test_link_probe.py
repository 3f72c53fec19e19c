"""What a link is asked: all the way, or of one that costs by the byte mostly TCP alone."""

import json
import subprocess
import sys

import pytest

from firmware import aio
from firmware.board_links import Links
from firmware.hal.bearer import DOWN, UP
from firmware.hal.network import TlsFailed
from firmware.services.link_probe import CAPTIVE, WHOLE_EACH
from firmware.services.link_supervisor import CARRYING_MS, LOOK_MS
from tests.conformance.test_network import FarEnd, other, pki
from tests.support.virtual_time import run
from tests.unit.test_link_supervisor import HOST, Net

HOUR_MS = 3_600_000


class _End(FarEnd):
    """A far end that knows whether it was told anything."""

    told = False

    def feed(self, data: bytes) -> None:
        self.told = True
        super().feed(data)


class _Mobile(Net):
    """A link whose far ends are ``_End``."""

    def __init__(self, metered: bool) -> None:
        super().__init__("mobile", 0, metered=metered)
        self.asked: list[_End] = []

    def _dial(self, host: str, port: int) -> FarEnd | None:
        if self.context is None:
            return None
        self.asked.append(_End(self.context))
        return self.asked[-1]

    async def carries(self) -> Links:
        """Watched, and its acquirer known."""
        links = Links([self.way])
        links.start()
        await aio.sleep_ms(1000)
        await _paid(links)
        await aio.sleep_ms(10_000)
        assert self.way.state == UP
        self.asked.clear()
        return links


async def _paid(links: Links) -> None:
    """A connection of the acquirer's: from now on he is asked for."""
    stream = await links.connect(HOST, 443, pki().config(), 10_000)
    await stream.close()


async def _hour(metered: bool) -> tuple[int, int, int]:
    """In an hour of a link that carries: connections, those with a handshake, bytes."""
    net = _Mobile(metered)
    links = await net.carries()
    before = net.chip.sent_bytes + net.chip.received_bytes
    await aio.sleep_ms(HOUR_MS)
    assert net.way.state == UP
    used = net.chip.sent_bytes + net.chip.received_bytes - before
    found = len(net.asked), len([end for end in net.asked if end.told]), used
    await links.stop()
    return found


def test_a_metered_link_is_mostly_asked_by_tcp_alone() -> None:
    async def main() -> None:
        asked, shaken, used = await _hour(metered=False)
        assert asked == shaken >= 230
        few_asked, few_shaken, few_used = await _hour(metered=True)
        assert few_asked >= 230
        assert few_asked // WHOLE_EACH <= few_shaken <= few_asked // WHOLE_EACH + 1
        assert few_used * (WHOLE_EACH - 2) < used  # above TCP nothing else is sent

    run(main(), limit_s=10_000)


def test_after_a_failure_all_is_asked() -> None:
    async def main() -> None:
        net = _Mobile(metered=True)
        links = await net.carries()
        net.context = other().context()  # a portal answers in the host's place
        await aio.sleep_ms(2 * CARRYING_MS)
        assert net.way.state == UP  # TCP alone does not see it
        try:
            await _paid(links)
            raise AssertionError("a portal was paid")
        except TlsFailed as error:
            assert error.cause == "unknown_ca"
        await aio.sleep_ms(LOOK_MS)
        assert (net.way.state, net.way.cause) == (DOWN, CAPTIVE)
        net.context = pki().context()
        await aio.sleep_ms(2 * CARRYING_MS)
        assert net.way.state == UP
        net.context = None  # nobody takes a connection
        await aio.sleep_ms(CARRYING_MS + 2 * LOOK_MS)
        assert net.way.state == DOWN
        await links.stop()

    run(main())


def test_without_a_payment_a_portal_is_found_in_a_few_minutes() -> None:
    async def main() -> None:
        net = _Mobile(metered=True)
        links = await net.carries()
        net.context = other().context()
        await aio.sleep_ms((WHOLE_EACH + 1) * CARRYING_MS)
        assert (net.way.state, net.way.cause) == (DOWN, CAPTIVE)
        await links.stop()

    run(main())


def test_what_is_no_longer_metered_is_asked_all_the_way_at_once() -> None:
    async def main() -> None:
        net = _Mobile(metered=True)
        links = await net.carries()
        net.way.metered = False  # the merchant's setting
        await aio.sleep_ms(4 * CARRYING_MS)
        assert len(net.asked) >= 3 and all(end.told for end in net.asked[1:])
        await links.stop()

    run(main())


def test_what_a_probe_costs_is_what_the_documents_say() -> None:
    """At the wire, in a network of its own; docs/modem.md has the numbers."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system gives no network of one's own")
    told = subprocess.run(
        [*command, sys.executable, "-m", "tests.support.probe_bytes"],
        capture_output=True, check=True,
    )  # fmt: skip
    found = json.loads(told.stdout)
    assert found.pop("TCP alone")[0] < 450
    assert len(found) == 4 and all(1_800 < total < 4_000 for total, _ in found.values()), found
