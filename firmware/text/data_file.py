"""Opens the room's data files, which are read by offset and never loaded whole."""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

#: Folder of the data files: beside this module. A board that keeps them
#: elsewhere (modules frozen into its image) sets it before anything is read.
FOLDER = __file__.replace("\\", "/").rpartition("/")[0] + "/data"


class DataFileError(TillError):
    """A font, map or language table is missing or not what it should be."""

    text_key = "error.storage"


class DataFile:
    """A read-only file with a four-byte magic. Raises DataFileError for a bad one."""

    def __init__(self, name: str, magic: bytes) -> None:
        self.name = name
        try:
            # Open for as long as the terminal runs: closing would cost an open a glyph.
            self._file: "BinaryIO" = open(FOLDER + "/" + name, "rb")  # noqa: SIM115
        except OSError as error:
            raise DataFileError("cannot open " + name + ": " + str(error)) from None
        if self.read(0, 4) != magic:
            self._file.close()
            raise DataFileError(name + " is damaged or of another version")

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset``; DataFileError past the end."""
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise DataFileError(self.name + " is truncated")
        return data

    def u16(self, offset: int) -> int:
        """A little-endian number of two bytes."""
        return int.from_bytes(self.read(offset, 2), "little")

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._file.close()
