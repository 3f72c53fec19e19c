"""The catalogue of one language: texts by stable key, read by offset.

Tables are compiled from ``locale/*.po`` by `till catalogue build`:
"OTT1", entry count u16, entries sorted by the bytes of the key as u32 file
offsets, then entries: key length u8, text length u16, key, text (UTF-8).
Numbers are little endian.
"""

from firmware.text.data_file import DataFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Languages with a catalogue and their own names, in menu order.
LANGUAGES = (("en", "English"), ("zh", "中文"))

_CACHE = 64


class Texts:
    """Texts in ``language`` ("en", "zh"). Raises DataFileError without such a catalogue."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._file = DataFile(language + ".bin", b"OTT1")
        self._count = self._file.u16(4)
        self._cache: "dict[str, str]" = {}

    def _entry(self, index: int) -> "tuple[bytes, int, int]":
        """``(key, offset of the text, its length)``."""
        at = int.from_bytes(self._file.read(6 + 4 * index, 4), "little")
        head = self._file.read(at, 3)
        size = int.from_bytes(head[1:], "little")
        return self._file.read(at + 3, head[0]), at + 3 + head[0], size

    def _find(self, key: str) -> "str | None":
        wanted = key.encode()
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            found, at, size = self._entry(middle)
            if found == wanted:
                return str(self._file.read(at, size), "utf-8")
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return None

    def _text(self, key: str) -> "str | None":
        """The text of ``key`` as it stands in the table, the last ones from memory."""
        text = self._cache.get(key)
        if text is None:
            text = self._find(key)
            if text is not None:
                if len(self._cache) >= _CACHE:
                    self._cache.clear()
                self._cache[key] = text
        return text

    def forget(self) -> None:
        """Let go of the texts read so far."""
        self._cache.clear()

    def has(self, key: str) -> bool:
        """Whether the catalogue has this key."""
        return self._text(key) is not None

    def get(self, key: str, **fields: "Any") -> str:
        """The text of ``key`` with ``{name}`` replaced by ``fields[name]``.

        A key that is missing is shown as ``[key]``, visible and harmless; the
        tests prove that no key used in the source is missing.
        """
        text = self._text(key)
        if text is None:
            return "[" + key + "]"
        if fields and "{" in text:
            # One pass, so that a value that contains braces stays as it is.
            parts = text.split("{")
            out = [parts[0]]
            for part in parts[1:]:
                name, brace, rest = part.partition("}")
                if brace and name in fields:
                    out.append(str(fields[name]) + rest)
                else:
                    out.append("{" + part)
            text = "".join(out)
        return text

    def code_key(self, code: str) -> str:
        """The key that explains an answer code of the host (field 39)."""
        key = "host." + code
        return key if self.has(key) else "host.other"

    def close(self) -> None:
        """Close the table (when the language changes)."""
        self._file.close()
