"""Glyphs of our own, in place of those of misc-fixed (docs/fonts.md).

Its full stop, comma and colon are small crosses, which on a panel of 128x64
read as daggers; some currency signs are missing or blurred in the small sizes.

``OWN[font][characters]`` is the glyph of each of these characters: the row of
the cell where it begins, then its rows from the top, ``#`` is a lit pixel.
"""

OWN: dict[str, dict[str, tuple[int, tuple[str, ...]]]] = {
    "latin8": {
        ".": (5, (" ##", " ##")),
        ",": (5, (" ##", " ##", " #")),
        "£": (1, (" ##", " #", "###", " #", " #", "####")),
        "¥": (1, ("# #", "# #", " #", "###", " #", " #")),
        "₩": (1, ("# #", "# #", "####", "# ##", "# ##", " # ")),
    },
    "latin10": {
        ".": (6, ("  ##", "  ##")),
        ",": (6, ("  ##", "  ##", "  #", " #")),
        ":": (3, ("  ##", "  ##", "", "  ##", "  ##")),
        ";": (3, ("  ##", "  ##", "", "  ##", "  ##", "  #", " #")),
        "¥": (1, ("#   #", "#   #", " # #", "#####", "  #", "#####", "  #")),
        "₩": (1, ("# # #", "# # #", "#####", "# # #", "#####", " # #", " # #")),
    },
    "latin16": {
        ".": (12, ("   ##", "   ##")),
        ",": (12, ("   ##", "   ##", "    #", "   #")),
        ":": (7, ("   ##", "   ##", "", "", "", "   ##", "   ##")),
        ";": (7, ("   ##", "   ##", "", "", "", "   ##", "   ##", "    #", "   #")),
        "£": (5, ("   ###", "  #   #", "  #", "  #", " #####", "  #", "  #", "  #", " ######")),
    },
}


def own_glyphs(font: str, width: int, height: int) -> dict[int, bytes]:
    """Our glyphs of ``font``, packed as strips of ``width`` bytes, by code point."""
    packed = {}
    for characters, (top, rows) in OWN.get(font, {}).items():
        out = bytearray(width * ((height + 7) // 8))
        for y, row in enumerate(rows, top):
            for x, dot in enumerate(row):
                if dot == "#":
                    out[(y >> 3) * width + x] |= 1 << (y & 7)
        packed.update({ord(char): bytes(out) for char in characters})
    return packed
