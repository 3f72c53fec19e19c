"""Text for ESC/POS printers: code page, Chinese modes, columns.

A printer's Chinese mode (FS & ... FS .) takes two-byte codes; outside it
bytes from 80h on are a code page, here 858 (ESC t 19): Latin-1 letters, the
euro, and a half-width yen sign. What neither has is printed as a picture.
"""

from firmware.text import faces, gb18030

#: Code page 858, bytes 80h to FFh.
CP858 = (
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤"
    "ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0"
)

#: Full-width signs for printers that never leave their Chinese mode.
_FULL_WIDTH = {"¥": "￥", "£": "￡", "¢": "￠"}

#: Two-byte codes that GB 18030 has and GBK has not: the euro, U+01F9, signs, radicals.
_NOT_GBK = ((0xA2E3, 0xA2E3), (0xA8BF, 0xA8BF), (0xA989, 0xA995), (0xFE50, 0xFEA0))

#: Both halves of a pair, whole and as they stand on the line.
_MOST_KNOWN = 4

#: What a board may say of its printer's Chinese.
CHINESE = ("gb18030", "gbk", "utf8", "raster")


def clean(text: str) -> str:
    """``text`` with every control character made visible: a name that came from
    a host must not be able to send commands to the printer. Newlines stay."""
    out = ""
    for char in text:
        point = ord(char)
        control = point < 0x20 or 0x7F <= point <= 0x9F or 0xD800 <= point <= 0xDFFF
        out += "?" if control and char != "\n" else char
    return out


class TextCodec:
    """How one printer takes text. ``chinese``: one of CHINESE; ``latin``: whether
    it has code page 858 (some Chinese printers never leave their Chinese mode)."""

    def __init__(self, chinese: str, latin: bool = True) -> None:
        if chinese not in CHINESE:
            raise ValueError("no Chinese mode " + chinese)
        if chinese != "raster":
            gb18030.prepare()
        self._chinese = chinese
        self._latin = latin
        #: The classes of texts seen lately, a byte a character: a line is asked about,
        #: measured and then encoded.
        self._known: "dict[str, bytes]" = {}

    def _classes(self, text: str) -> bytes:
        kinds = self._known.get(text)
        if kinds is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            kinds = self._known[text] = bytes([self._class(char) for char in text])
        return kinds

    def _class(self, char: str) -> int:
        """0 plain byte, 1 code page, 2 two columns in Chinese mode, 3 UTF-8, 9 not to be had."""
        point = ord(char)
        if point < 0x80:
            return 0
        if self._chinese == "utf8":
            return 3
        if self._latin and char in CP858:
            return 1
        if self._chinese != "raster" and self._double(_FULL_WIDTH.get(char, char)):
            return 2
        return 9

    def _double(self, char: str) -> bool:
        point = ord(char)
        if self._chinese == "gb18030" or 0x4E00 <= point <= 0x9FA5:
            return gb18030.is_double_byte(char)
        code = gb18030.encode_char(point)
        if len(code) != 2 or 0xE000 <= point <= 0xF8FF:  # for private use
            return False
        number = int.from_bytes(code, "big")
        return not any([first <= number <= last for first, last in _NOT_GBK])

    def has(self, text: str) -> bool:
        """Whether the printer's own type has every character of ``text``."""
        return faces.is_ascii(text) or b"\x09" not in self._classes(text)

    def columns(self, text: str) -> int:
        """Width in columns in the printer's own type."""
        if faces.is_ascii(text):
            return len(text)
        kinds = self._classes(text)
        total = len(text)
        for i in range(len(text)):
            kind = kinds[i]
            if kind == 2 or (kind in (3, 9) and faces.is_wide(text[i])):
                total += 1
        return total

    def encode(self, text: str) -> bytes:
        """Bytes for ``text``, which ``has`` accepted; ends outside Chinese mode."""
        if faces.is_ascii(text):
            return text.encode()
        out = bytearray()
        chinese = False
        kinds = self._classes(text)
        for i in range(len(text)):
            char, kind = text[i], kinds[i]
            if kind == 9:
                raise ValueError("the printer's type has no " + repr(char))
            if (kind == 2) != chinese:
                chinese = kind == 2
                out += b"\x1c&" if chinese else b"\x1c."
            if kind == 1:
                out.append(0x80 + CP858.index(char))
            elif kind == 2:
                out += gb18030.encode_char(ord(_FULL_WIDTH.get(char, char)))
            else:
                out += char.encode()
        if chinese:
            out += b"\x1c."
        return bytes(out)
