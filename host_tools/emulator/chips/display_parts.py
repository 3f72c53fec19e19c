"""Operation 3 of wire kind "display": commands and data, part after part."""

from typing import Protocol

from host_tools.emulator.chips.errors import ChipError


class Controller(Protocol):
    """A display chip."""

    controller: str

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """Operation 1 takes commands, 2 data."""


def many(chip: Controller, payload: bytes) -> int:
    """Pairs of commands and data; how long the bus is busy with them, in us."""
    busy = 0
    at = 0
    while at < len(payload):
        middle = at + 1 + payload[at]
        end = middle + 2 + int.from_bytes(payload[middle : middle + 2], "big")
        if end > len(payload):
            raise ChipError(f"{chip.controller}: a part is cut short at byte {at}")
        busy += chip.transfer(1, payload[at + 1 : middle])[1]
        busy += chip.transfer(2, payload[middle + 2 : end])[1]
        at = end
    return busy
