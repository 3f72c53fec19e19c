"""Supervisor, ladder and cable on both interpreters, over an interface of a few lines."""

from firmware import aio
from firmware.buses.raw_net import RawNet
from firmware.buses.wire import BusError
from firmware.drivers.cable import Cable
from firmware.drivers.tls_base import TlsLinkBase
from firmware.hal.bearer import DOWN, UP
from firmware.hal.network import LinkDown
from firmware.services.link_probe import REACHED, UNREACHED
from firmware.services.link_supervisor import LinkSupervisor, Way
from tests.portable.virtual_run import run


class Switch(RawNet):
    """An interface that is plugged in or not, with nobody behind it."""

    def __init__(self):
        self.plugged = True

    async def link(self):
        return self.plugged, 4

    async def connect(self, host, port):
        raise BusError("nobody")


class PlainLink(TlsLinkBase):
    """Reaches nobody; no engine of TLS is needed for that."""

    async def _engine(self, config):
        return None


def way(name, net, rank):
    async def probe(link, timeout_ms):
        return REACHED if net.plugged else UNREACHED

    return Way(name, Cable(net), PlainLink(net), probe, rank)


def test_failing_over_and_back():
    async def main():
        first, second = Switch(), Switch()
        heard = []
        ways = [way("cable", first, 0), way("wifi", second, 1)]
        supervisor = LinkSupervisor(ways, on_step=heard.append)
        supervisor.start()
        await aio.sleep_ms(5000)
        assert [one.state for one in ways] == [UP, UP]
        first.plugged = False
        await aio.sleep_ms(20000)
        assert ways[0].state == DOWN and supervisor.active is ways[1]
        status = await supervisor.status()
        assert status.up and status.bars == 4
        second.plugged = False
        await aio.sleep_ms(20000)
        assert not (await supervisor.status()).up
        try:
            await supervisor.connect("host", 443, None, 1000)
            raise AssertionError("no error")
        except LinkDown as error:
            assert not error.sent
        first.plugged = True
        await aio.sleep_ms(40000)
        assert supervisor.active is ways[0]
        await supervisor.stop()
        assert [step.link for step in heard if step.what == "carry"] == ["wifi", "cable"]

    run(main())
