"""Power: the Linux kernel's power-supply class (Documentation/ABI/testing/sysfs-class-power)."""

import os

from firmware.hal.power import Power, PowerError, PowerStatus

FOLDER = "/sys/class/power_supply"
#: States of a battery that only external power brings about.
_FED = ("Charging", "Full", "Not charging")
#: Lithium cells and packs of up to four; what is outside was misread.
_LEAST_MV, _MOST_MV = 1000, 20000


class LinuxPower(Power):
    """``battery``: name of a supply, "" for the first battery that powers the system."""

    def __init__(self, battery: str = "", folder: str = FOLDER) -> None:
        self._battery = battery
        self._folder = folder
        self._supplies()

    def _supplies(self) -> "list[str]":
        try:
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            raise PowerError(f"{self._folder}: {error.strerror}") from None
        if self._battery and self._battery not in names:
            there = ", ".join(names) or "none"
            raise PowerError(f"no supply {self._battery}; there are: {there}")
        if not names:
            raise PowerError(f"{self._folder} has no supply")
        return names

    def _text(self, name: str, attribute: str) -> str:
        """An attribute, "" where the supply has none or cannot tell it now."""
        try:
            with open(f"{self._folder}/{name}/{attribute}", encoding="ascii") as file:
                return file.read(64).strip()
        except (OSError, UnicodeDecodeError):
            return ""

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
            return PowerStatus(percent, mains, millivolts)
        return PowerStatus(None, any(online) or not outside, None)

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
