"""Makes the terminal's font files and the GB18030 map (`till catalogue fonts`).

The fonts come from two Debian packages that hold public-domain fonts
(docs/fonts.md); they are fetched with ``apt-get download`` into a cache and
only unpacked. The results are committed, so nothing else needs apt.

Font file: "OTF1", cell width, height, baseline row, 0 (one byte each), glyph
count and bytes a glyph (u16 little endian), 257 u16: index of the first glyph
whose code point has this high byte, then one low byte a glyph, then the
glyphs, each ``ceil(height / 8)`` strips of ``width`` bytes, bit 0 on top.

GB18030 map: "OTG1", run count u16; 256 page numbers (u8, 0 is none); runs of
four-byte codes (code point, linear code, length; u16 each); 126 * 190 code
points of the two-byte codes; pages of 256 two-byte codes (0 is none).
"""

import os
import struct
import subprocess
from pathlib import Path

from host_tools.errors import UserError
from host_tools.fonts_glyphs import own_glyphs
from host_tools.pcf import PcfFont, PcfGlyph

DATA = Path(__file__).resolve().parent.parent / "firmware" / "text" / "data"
PACKAGES = ("xfonts-intl-chinese", "xfonts-base")

#: name: (file in the packages, cell width, cell height, baseline row)
LATIN = {
    "latin8": ("5x8", 5, 8, 7),
    "latin10": ("6x10", 6, 10, 8),
    "latin16": ("8x13", 8, 16, 14),
    "latin20": ("10x20", 10, 20, 16),
}
HAN = {"han16": ("guob16", 16, 16, 14)}

#: Parts of ISO 8859 that a card's names may be written in (payment/emv/code_tables.py).
PARTS = (1, 2, 3, 4, 5, 7, 9, 10)
#: What a Latin font keeps: ASCII, Latin-1, Latin Extended-A, those parts, and these.
_EXTRA = "–—‘’“”„•…‹›€₩₽₹←↑→↓■□▲▼▶◀●○"


def cache_folder() -> Path:
    """Where downloaded packages are kept, outside the clone."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "opentill" / "fonts"


def fetch(cache: Path) -> Path:
    """Download and unpack the packages once; give the folder of the fonts."""
    folder = cache / "unpacked" / "usr" / "share" / "fonts" / "X11" / "misc"
    wanted = [name for name, *_ in [*LATIN.values(), *HAN.values()]]
    if all((folder / f"{name}.pcf.gz").exists() for name in wanted):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=cache, check=True)
        for package in cache.glob("xfonts-*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(cache / "unpacked")], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"could not fetch {', '.join(PACKAGES)}: {error}; this step needs Debian's "
            "apt-get and dpkg (the font files are committed, so most people never need it)"
        ) from None
    return folder


def latin_code_points() -> list[int]:
    """Code points that a Latin font keeps where its source has them."""
    upper = bytes(range(0xA0, 0x100))
    alphabets = [upper.decode(f"iso8859-{part}", "ignore") for part in PARTS]
    others = [ord(char) for char in "".join([_EXTRA, *alphabets])]
    return sorted({*range(0x20, 0x7F), *range(0xA0, 0x180), *others})


def han_code_points(font: PcfFont) -> dict[int, int]:
    """Unicode code point -> code in the font (7-bit GB 2312 row and cell)."""
    found: dict[int, int] = {}
    for code in font.codes():
        try:
            text = (code | 0x8080).to_bytes(2, "big").decode("gb18030")
        except UnicodeDecodeError:
            continue
        # GB 8565 additions without a Unicode place of their own decode to private use.
        if len(text) == 1 and not 0xE000 <= ord(text) <= 0xF8FF:
            found[ord(text)] = code
    return found


def pack_glyph(glyph: PcfGlyph, width: int, height: int, baseline: int) -> bytes:
    """Place a glyph on the baseline of its cell; strips of ``width`` bytes, bit 0 on top."""
    strips = (height + 7) // 8
    out = bytearray(width * strips)
    for i, row in enumerate(glyph.rows):
        y = baseline - glyph.ascent + i
        for x in range(glyph.width):
            if row >> (glyph.width - 1 - x) & 1:
                column = glyph.left + x
                if not (0 <= y < height and 0 <= column < width):
                    raise UserError(f"a glyph leaves its {width}x{height} cell")
                out[(y >> 3) * width + column] |= 1 << (y & 7)
    return bytes(out)


def pack_font(glyphs: dict[int, bytes], width: int, height: int, baseline: int) -> bytes:
    """The font file of ``glyphs`` (code point -> packed glyph)."""
    points = sorted(glyphs)
    starts = [sum(1 for p in points if p >> 8 < page) for page in range(257)]
    size = width * ((height + 7) // 8)
    return b"".join(
        [
            b"OTF1",
            bytes([width, height, baseline, 0]),
            struct.pack("<HH", len(points), size),
            struct.pack("<257H", *starts),
            bytes(p & 0xFF for p in points),
            *[glyphs[p] for p in points],
        ]
    )


def build_font(folder: Path, name: str) -> bytes:
    """The font file ``name`` made from the unpacked packages in ``folder``."""
    source, width, height, baseline = {**LATIN, **HAN}[name]
    font = PcfFont(folder / f"{source}.pcf.gz")
    if "ublic domain" not in str(font.properties.get("COPYRIGHT", "")).replace("Domain", "domain"):
        raise UserError(f"{source}: its own notice no longer says public domain")
    points = han_code_points(font) if name in HAN else {p: p for p in latin_code_points()}
    glyphs = {}
    for point, code in points.items():
        glyph = font.glyph(code)
        if glyph is not None:
            glyphs[point] = pack_glyph(glyph, width, height, baseline)
    glyphs.update(own_glyphs(name, width, height))
    return pack_font(glyphs, width, height, baseline)


def build_gb18030() -> bytes:
    """The GB18030 map, taken from the interpreter's codec."""
    two: dict[int, int] = {}
    runs: list[list[int]] = []
    for point in range(0x80, 0x10000):
        if 0xD800 <= point <= 0xDFFF:
            continue
        code = chr(point).encode("gb18030")
        if len(code) == 2:
            two[point] = int.from_bytes(code, "big")
            continue
        a, b, c, d = code
        linear = (((a - 0x81) * 10 + b - 0x30) * 126 + c - 0x81) * 10 + d - 0x30
        if runs and point == runs[-1][0] + runs[-1][2] and linear == runs[-1][1] + runs[-1][2]:
            runs[-1][2] += 1
        else:
            runs.append([point, linear, 1])
    back = {code: point for point, code in two.items()}
    trails = [*range(0x40, 0x7F), *range(0x80, 0xFF)]
    decode = [back.get(lead << 8 | trail, 0) for lead in range(0x81, 0xFF) for trail in trails]
    numbers, pages = bytearray(256), b""
    for page in range(256):
        row = [two.get(page << 8 | low, 0) for low in range(256)]
        if any(row):
            pages += struct.pack("<256H", *row)
            numbers[page] = len(pages) // 512
    return b"".join(
        [
            b"OTG1",
            struct.pack("<H", len(runs)),
            bytes(numbers),
            *[struct.pack("<3H", *run) for run in runs],
            struct.pack(f"<{len(decode)}H", *decode),
            pages,
        ]
    )


def build_all(data: Path = DATA, cache: Path | None = None) -> dict[str, int]:
    """Write every font and the GB18030 map; give their sizes in bytes by file name."""
    folder = fetch(cache or cache_folder())
    made = {f"{name}.bin": build_font(folder, name) for name in [*LATIN, *HAN]}
    made["gb18030.bin"] = build_gb18030()
    data.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (data / name).write_bytes(content)
    return {name: len(content) for name, content in made.items()}
