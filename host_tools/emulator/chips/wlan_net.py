"""Chip: the connections through a Wi-Fi radio (wire kind "net")."""

from collections.abc import Callable

from host_tools.emulator.chips.net import Endpoint, NetChip
from host_tools.emulator.chips.wlan_radio import UP, WlanRadio


class WlanNet(NetChip):
    """Up while ``radio`` has joined with an address; what no beacon is heard for stalls,
    what the radio has lost is broken. ``silent``: joined, but nothing gets through."""

    def __init__(
        self,
        clock_us: Callable[[], int],
        radio: WlanRadio,
        dial: Callable[[str, int], Endpoint | None],
    ) -> None:
        super().__init__(clock_us, dial)
        self._radio = radio
        self.silent = False
        self.up, self.bars = False, 0
        self._joins = 0

    def pump(self) -> None:
        """Carry what is due, as far as the radio is in its network."""
        state, dbm = self._radio.state()
        up = state == UP
        if not up or self._radio.joins != self._joins:
            self.cut()
        self._joins = self._radio.joins
        self.up, self.bars = up, (dbm + 95) // 10 if up else 0
        self.stalled = self.silent or not self._radio.hears
        super().pump()
