"""A USB device that the guest plugs into itself: configfs and the kernel's dummy controller."""

from __future__ import annotations

import os
from pathlib import Path

CONFIGFS = Path("/sys/kernel/config/usb_gadget")
CONTROLLERS = Path("/sys/class/udc")


class Gadget:
    """One composite device; ``functions``: kernel names such as ``acm.0``."""

    def __init__(
        self, functions: list[str], vendor: int = 0x1209, product: int = 0x0001,
        attributes: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """``attributes``: path under the gadget's folder to text, written before plugging."""
        self.folder = CONFIGFS / "rig"
        self._links: list[Path] = []
        self.folder.mkdir()
        self._write("idVendor", f"{vendor:#06x}")
        self._write("idProduct", f"{product:#06x}")
        strings = self.folder / "strings/0x409"
        strings.mkdir()
        for name, text in (("serialnumber", "RIG1"), ("manufacturer", "OpenTill"),
                           ("product", "rig")):  # fmt: skip
            (strings / name).write_text(text)
        self.configuration = self.folder / "configs/c.1"
        self.configuration.mkdir()
        self._functions = [self.folder / "functions" / name for name in functions]
        for function in self._functions:
            function.mkdir()
        for name, text in (attributes or {}).items():
            self._write(name, text)
        for function in self._functions:
            link = self.configuration / function.name
            link.symlink_to(function)
            self._links.append(link)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def plug(self) -> None:
        """Connect it to the guest's own controller."""
        self._write("UDC", os.listdir(CONTROLLERS)[0])

    @property
    def plugged(self) -> bool:
        """Whether it is in."""
        return bool((self.folder / "UDC").read_text().strip())

    def unplug(self) -> None:
        """Pull it out, whatever is under way. OSError when it is out."""
        self._write("UDC", "\n")

    def close(self) -> None:
        """Unplug and take it apart, so that the next test can make another."""
        if self.plugged:
            self.unplug()
        for link in self._links:
            link.unlink()
        for function in self._functions:
            function.rmdir()
        self.configuration.rmdir()
        (self.folder / "strings/0x409").rmdir()
        self.folder.rmdir()
