"""Opens the room's data files, which are read by offset and never loaded whole."""

from firmware.errors import TillError

try:
    import mmap

    _MAPPED = True
except ImportError:  # MicroPython
    _MAPPED = False

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
    """A read-only file with a four-byte magic. Raises DataFileError for a bad one.

    It stays open for as long as it is used: opening costs more than reading.
    CPython maps it, which reads a glyph without a system call.
    """

    def __init__(self, name: str, magic: bytes) -> None:
        self.name = name
        self._map: "mmap.mmap | None" = None
        self._file: "BinaryIO | None" = None
        try:
            file: "BinaryIO" = open(FOLDER + "/" + name, "rb")  # noqa: SIM115
            if _MAPPED:
                with file:
                    self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                self._file = file
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise DataFileError("cannot open " + name + ": " + str(error)) from None
        if self.read(0, len(magic)) != magic:
            self.close()
            raise DataFileError(name + " is damaged or of another version")

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset``; DataFileError past the end."""
        data = b""
        if self._map is not None:
            data = self._map[offset : offset + size]
        elif self._file is not None:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) != size:
            raise DataFileError(self.name + " is truncated")
        return data

    def u16(self, offset: int) -> int:
        """A little-endian number of two bytes."""
        return int.from_bytes(self.read(offset, 2), "little")

    def close(self) -> None:
        """Close the file; the object is of no use afterwards. Harmless twice."""
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._file is not None:
            self._file.close()
            self._file = None
