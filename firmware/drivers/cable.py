"""Bearer: an interface that the system keeps by itself, such as Ethernet."""

from firmware.buses.wire import BusError
from firmware.hal.bearer import DEGRADED, DOWN, UP, Bearer, BearerError, BearerStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.raw_net import RawNet


class Cable(Bearer):
    """``net``: the interface. It is up when its link is; there is nothing to reset."""

    def __init__(self, net: "RawNet", kind: str = "ethernet") -> None:
        self._net = net
        self.kind = kind

    async def status(self) -> BearerStatus:
        try:
            up, bars = await self._net.link()
        except BusError:
            return BearerStatus(DOWN, self.kind, 0, "mute")
        if not up:
            return BearerStatus(DOWN, self.kind, 0, "no_carrier")
        status = BearerStatus(UP if bars else DEGRADED, self.kind, bars)
        status.address = self._net.address()
        return status

    async def start(self, timeout_ms: int) -> None:
        status = await self.status()
        if status.state == DOWN:
            raise BearerError("no link on this interface")

    async def stop(self) -> None:
        """The system's; nothing of ours to take down."""

    async def reset(self, level: str, timeout_ms: int) -> None:
        raise ValueError("this interface has no reset " + level)
