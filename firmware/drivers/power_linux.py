"""Power: the Linux kernel's power-supply class (Documentation/ABI/testing/sysfs-class-power).

Brown-outs are those that a Raspberry Pi's firmware tells the kernel of (driver
raspberrypi-hwmon, "rpi_volt": ``in0_lcrit_alarm``, renewed every two seconds), or a
battery below the board's cut-off; without either, nobody knows.
"""

import os

from firmware.hal.power import Power, PowerError, PowerStatus

FOLDER = "/sys/class/power_supply"
MONITORS = "/sys/class/hwmon"
#: States of a battery that only external power brings about.
_FED = ("Charging", "Full", "Not charging")
#: Lithium cells and packs of up to four; what is outside was misread.
_LEAST_MV, _MOST_MV = 1000, 20000


#: The alarm tells of the last two seconds: asked this often, none is missed.
_WATCH_MS = 1000


class LinuxPower(Power):
    """``battery``: name of a supply, "" for the first battery that powers the system;
    ``cutoff_mv``: a battery below it counts as a brown-out, 0 for no such bound."""

    def __init__(
        self,
        battery: str = "",
        folder: str = FOLDER,
        cutoff_mv: int = 0,
        monitors: str = MONITORS,
    ) -> None:
        self._battery = battery
        self._folder = folder
        self._cutoff = cutoff_mv
        self._alarm = _alarm(monitors)
        self._below = False
        self.brown_outs = 0 if self._alarm or cutoff_mv else None
        self.watch_ms = _WATCH_MS if self._alarm else 0
        self._supplies()

    def _supplies(self) -> "list[str]":
        try:
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            raise PowerError(f"{self._folder}: {error.strerror}") from None
        if self._battery and self._battery not in names:
            there = ", ".join(names) or "none"
            raise PowerError(f"no supply {self._battery}; there are: {there}")
        if not names and not self._alarm:
            raise PowerError(f"{self._folder} has no supply")
        return names

    def _text(self, name: str, attribute: str) -> str:
        """An attribute, "" where the supply has none or cannot tell it now."""
        return _read(f"{self._folder}/{name}/{attribute}")

    def _number(self, name: str, attribute: str) -> "int | None":
        text = self._text(name, attribute)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise PowerError(f"supply {name}: {attribute} is {text!r}") from None

    async def status(self) -> PowerStatus:
        """Charge, mains and voltage. PowerError for values that cannot be."""
        names = self._supplies()
        battery = self._battery or self._first_battery(names)
        kinds = ("Mains", "USB", "Wireless")
        outside = [name for name in names if self._text(name, "type") in kinds]
        online = [self._number(name, "online") for name in outside]
        if battery and self._text(battery, "present") != "0":
            percent, millivolts = self._charge(battery), self._voltage(battery)
            mains = any(online) or self._text(battery, "status") in _FED
            self._look(millivolts)
            return PowerStatus(percent, mains, millivolts)
        self._look(None)
        return PowerStatus(None, any(online) or not outside, None)

    def _look(self, millivolts: "int | None") -> None:
        """Count a supply that is newly too low."""
        below = millivolts is not None and millivolts < self._cutoff
        below = below or (self._alarm != "" and _read(self._alarm) == "1")
        if below and not self._below and self.brown_outs is not None:
            self.brown_outs += 1
        self._below = below

    def _first_battery(self, names: "list[str]") -> str:
        for name in names:
            # A mouse's or keyboard's battery has the scope "Device".
            if self._text(name, "type") == "Battery" and self._text(name, "scope") != "Device":
                return name
        return ""

    def _charge(self, name: str) -> int:
        percent = self._number(name, "capacity")
        for kind in ("charge", "energy"):
            now, full = self._number(name, kind + "_now"), self._number(name, kind + "_full")
            if percent is None and now is not None and full:
                percent = now * 100 // full
        if percent is None or not 0 <= percent <= 105:
            raise PowerError(f"supply {name}: capacity is {percent}")
        return min(percent, 100)  # a new battery may read a little more

    def _voltage(self, name: str) -> "int | None":
        microvolts = self._number(name, "voltage_now")
        if microvolts is None:
            return None
        if not _LEAST_MV <= microvolts // 1000 <= _MOST_MV:
            raise PowerError(f"supply {name}: voltage_now is {microvolts}")
        return microvolts // 1000


def _read(path: str) -> str:
    """A small file of the kernel's, "" where it cannot be read."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _alarm(monitors: str) -> str:
    """The file of the board's under-voltage alarm, "" where it has none."""
    try:
        names = sorted(os.listdir(monitors))
    except OSError:
        return ""
    for name in names:
        if _read(f"{monitors}/{name}/name") == "rpi_volt":
            return f"{monitors}/{name}/in0_lcrit_alarm"
    return ""
