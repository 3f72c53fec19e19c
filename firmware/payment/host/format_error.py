"""The error of everything that reads or writes host messages."""

from firmware.errors import TillError


class Iso8583Error(TillError):
    """A message or frame is malformed. ``field``: 0 for what is not a field
    (length, TPDU, header, MTI, bitmap); ``offset``: byte offset, None when encoding."""

    def __init__(self, reason: str, field: int = 0, offset: "int | None" = None, part: str = ""):
        name = part or ("field " + str(field) if field else "message")
        place = "" if offset is None else " at offset " + str(offset)
        super().__init__(name + place + ": " + reason)
        self.reason = reason
        self.field = field
        self.offset = offset
        self.part = part
