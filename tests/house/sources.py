"""The project's own Python sources, parsed once."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked() -> tuple[Path, ...]:
    """Every Python file that git knows or would add."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return tuple(sorted({ROOT / name for name in names if (ROOT / name).is_file()}))


@cache
def tree(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of every import, type-checking ones included."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.lineno, node.module))
            found.extend((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name) for alias in node.names)
    return found


#: Ends of the names of modules that only CPython can import, and that so need
#: not keep to the subset.
LINUX_ONLY = ("_linux.py", "_posix.py", "_rpi.py", "luma_bus.py", "oled.py", "tls_link.py")


def portable() -> list[str]:
    """Every module of the firmware that MicroPython runs too, relative to the root."""
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    return [n for n in names if n.startswith("firmware/") and not n.endswith(LINUX_ONLY)]


def room(path: Path) -> str | None:
    """Name of the firmware room that a file lives in; None outside the rooms."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "firmware" and len(parts) > 2 else None
