"""Package ``usb.device`` of micropython-lib (usb-device): the chip as a USB device."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Device:
    def __init__(self) -> None:
        self.interfaces: "tuple[Any, ...]" = ()

    def init(self, *interfaces: "Any", builtin_driver: bool = False) -> None:
        """Be these interfaces from now on, beside the port's own if it stays."""
        self.interfaces = interfaces


_device = _Device()


def get() -> _Device:
    """The one device."""
    return _device
