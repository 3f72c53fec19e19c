"""Picture hashes: drawings are kept as SHA-256 of their pixels.

``check(name, frame, width, height)`` compares with tests/pictures.json. When
one differs, build/pictures/index.html shows what is drawn now beside what was
accepted last (if that picture is still in build/pictures/accepted, where each
accepted or matching one is kept). ``OPENTILL_ACCEPT_PICTURES=1`` accepts.
"""

import hashlib
import html
import json
import os
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[2]
HASHES = ROOT / "tests" / "pictures.json"
REPORT = ROOT / "build" / "pictures"
SCALE = 4


def image(frame: bytes | bytearray, width: int, height: int) -> Image.Image:
    """The picture of a frame in the page order of hal.display."""
    bits = bytes(
        255 if frame[(y >> 3) * width + x] >> (y & 7) & 1 else 0
        for y in range(height)
        for x in range(width)
    )
    return Image.frombytes("L", (width, height), bits)


def digest(picture: Image.Image) -> str:
    """SHA-256 over size and decoded pixels, so that PNG encoders do not matter."""
    size = f"{picture.width}x{picture.height}:".encode()
    return hashlib.sha256(size + picture.convert("L").tobytes()).hexdigest()


class PictureBook:
    """The accepted hashes, and the report of a run."""

    def __init__(self, hashes: Path = HASHES, report: Path = REPORT) -> None:
        self._path = hashes
        self._report = report
        self._known: dict[str, str] = json.loads(hashes.read_text()) if hashes.exists() else {}
        self._seen: dict[str, str] = {}
        self._wrong: list[str] = []
        self._accept = os.environ.get("OPENTILL_ACCEPT_PICTURES") == "1"

    def check(self, name: str, picture: Image.Image) -> bool:
        """Whether ``picture`` is the accepted one; a wrong one goes into the report."""
        assert name not in self._seen, f"two pictures named {name}"
        self._seen[name] = digest(picture)
        kept = self._report / "accepted" / f"{name}.png"
        if self._accept or self._known.get(name) == self._seen[name]:
            if not kept.exists() or self._accept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                picture.save(kept)
            return True
        self._wrong.append(name)
        current = self._report / "current" / f"{name}.png"
        current.parent.mkdir(parents=True, exist_ok=True)
        picture.save(current)
        return False

    def finish(self, prefix: str) -> list[str]:
        """End a run over all pictures whose name begins with ``prefix``.

        Gives what is wrong, one line each. With OPENTILL_ACCEPT_PICTURES=1 the
        seen hashes replace the accepted ones of that prefix instead.
        """
        gone = [n for n in self._known if n.startswith(prefix) and n not in self._seen]
        if self._accept:
            kept = {n: h for n, h in self._known.items() if not n.startswith(prefix)}
            kept.update(self._seen)
            self._path.write_text(json.dumps(kept, indent=0, sort_keys=True) + "\n")
            return []
        if self._wrong:
            self._write_report()
        faults = [f"{n}: drawn differently, see {self._report / 'index.html'}" for n in self._wrong]
        return faults + [f"{n}: no longer drawn" for n in gone]

    def _write_report(self) -> None:
        rows = []
        for name in self._wrong:
            old, new = (self._report / where / f"{name}.png" for where in ("accepted", "current"))
            cells = [_cell(old, self._report), _cell(new, self._report)]
            if old.exists():
                before, after = Image.open(old).convert("L"), Image.open(new).convert("L")
                if before.size == after.size:
                    difference = self._report / "difference" / f"{name}.png"
                    difference.parent.mkdir(parents=True, exist_ok=True)
                    ImageChops.difference(before, after).save(difference)
                    cells.append(_cell(difference, self._report))
            rows.append(f"<tr><th>{html.escape(name)}</th>{''.join(cells)}</tr>")
        style = "img{image-rendering:pixelated;background:#000;margin:4px}th{text-align:left}"
        page = (
            "<!doctype html><meta charset='utf-8'><title>Pictures that differ</title>"
            f"<style>{style}</style><h1>{len(rows)} pictures differ</h1>"
            "<table><tr><th>name</th><th>accepted</th><th>now</th><th>difference</th></tr>"
            f"{''.join(rows)}</table>"
        )
        (self._report / "index.html").write_text(page, encoding="utf-8")


def _cell(path: Path, base: Path) -> str:
    if not path.exists():
        return "<td>not kept</td>"
    with Image.open(path) as picture:
        width = picture.width * SCALE
    return f"<td><img src='{path.relative_to(base).as_posix()}' width='{width}'></td>"
