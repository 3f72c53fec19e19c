"""Bearer: the Wi-Fi of a microcontroller (``buses/wlan_mpy.py``)."""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.buses.wlan_mpy import JOINING, MUTE, NOT_FOUND, UP, WRONG_KEY, WlanError
from firmware.hal import bearer
from firmware.hal.bearer import (
    DEGRADED,
    DOWN,
    Bearer,
    BearerError,
    BearerMute,
    BearerStatus,
    NoService,
    PasswordRefused,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.wlan_mpy import MpyWlan

#: The radio's rest between off and on.
REST_MS = 500
#: State of the radio: cause of hal.bearer.
_CAUSES = {JOINING: "searching", NOT_FOUND: "no_service", WRONG_KEY: "denied"}
#: State of a WlanError: what it is to whoever wanted the link.
_ERRORS = {WRONG_KEY: PasswordRefused, NOT_FOUND: NoService, MUTE: BearerMute}


class WlanBearer(Bearer):
    """One network on the station interface."""

    kind = "wifi"
    levels = ("bearer", "radio")

    def __init__(self, wlan: "MpyWlan") -> None:
        self._wlan = wlan
        self._started = False

    async def status(self) -> BearerStatus:
        try:
            state = self._wlan.state()
            if state != UP:
                cause = "stopped" if not self._started else _CAUSES.get(state, "no_carrier")
                return BearerStatus(DOWN, self.kind, 0, cause)
            _, bars = await self._wlan.link()
        except BusError:
            return BearerStatus(DOWN, self.kind, 0, "mute")
        status = BearerStatus(bearer.UP if bars else DEGRADED, self.kind, bars)
        status.operator = self._wlan.ssid
        status.address = self._wlan.address()
        return status

    async def start(self, timeout_ms: int) -> None:
        self._started = True
        try:
            await self._wlan.join(timeout_ms)
        except WlanError as error:
            raise _ERRORS.get(error.state, BearerError)(str(error)) from None

    async def stop(self) -> None:
        self._started = False
        self._wlan.leave()

    async def reset(self, level: str, timeout_ms: int) -> None:
        if level not in self.levels:
            raise ValueError("Wi-Fi has no reset " + level)
        self._wlan.leave()
        if level == "radio":
            try:
                self._wlan.switch(False)
                await aio.sleep_ms(REST_MS)
                self._wlan.switch(True)
            except WlanError as error:
                raise BearerMute(str(error)) from None
        await self.start(timeout_ms)
