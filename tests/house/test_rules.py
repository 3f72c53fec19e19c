"""Rules of the house that a test can hold."""

import ast

import pytest

from host_tools import board_rules
from host_tools.acquirer import enrol
from tests.house.sources import ROOT, imports, portable, tracked, tree

MONEY_FOLDERS = (
    "firmware/payment",
    "firmware/app",
    "firmware/services",
    "firmware/ui",
    "host_tools/acquirer",
    "host_tools/reports",
    "host_tools/exports",
    "host_tools/reconcile",
)
ABSENT = {
    "typing", "__future__", "abc", "functools", "contextlib", "logging", "hmac", "dataclasses",
    "enum", "decimal", "ssl", "tomllib", "pathlib", "threading", "itertools",
}  # fmt: skip


def named(path: object) -> str:
    return path.relative_to(ROOT).as_posix()  # type: ignore[attr-defined,no-any-return]


def test_no_module_is_over_600_lines() -> None:
    long = {
        named(path): lines
        for path in tracked()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 600
    }
    assert long == {}


def test_no_bare_except_and_no_swallowed_error() -> None:
    against = []
    for path in tracked():
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            if node.type is None:
                against.append(f"{named(path)}:{node.lineno} bare except")
            elif (
                getattr(node.type, "id", "") in ("Exception", "BaseException")
                and len(node.body) == 1
                and isinstance(node.body[0], ast.Pass | ast.Continue)
            ):
                against.append(f"{named(path)}:{node.lineno} swallowed error")
    assert against == []


def _floats(path: object) -> list[str]:
    found = []
    for node in ast.walk(tree(path)):  # type: ignore[arg-type]
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append(f"{named(path)}:{node.lineno} float literal {node.value}")
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Div)
            # No number is divided by a text: that is a path being joined.
            and not (isinstance(node.right, ast.Constant) and isinstance(node.right.value, str))
        ):
            found.append(f"{named(path)}:{node.lineno} true division")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("float", "round"):
            found.append(f"{named(path)}:{node.lineno} {node.func.id}()")  # type: ignore[attr-defined]
    return found


#: Seconds of an event loop or a socket are floats by the library's interface.
TIME_NOT_MONEY = {"host_tools/acquirer/server.py", "host_tools/acquirer/inprocess.py"}


def test_no_float_in_money() -> None:
    against: list[str] = []
    for path in tracked():
        if named(path).startswith(MONEY_FOLDERS) and named(path) not in TIME_NOT_MONEY:
            against += _floats(path)
    assert against == []


def _guarded(path: object) -> set[int]:
    """Lines under ``if TYPE_CHECKING:`` or inside a function (lazy, by backend)."""
    lines: set[int] = set()
    for node in ast.walk(tree(path)):  # type: ignore[arg-type]
        guard = isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        if guard or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Try):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def test_portable_modules_import_only_what_micropython_has() -> None:
    against = []
    for path in [ROOT / name for name in portable()]:
        guarded = _guarded(path)
        for line, module in imports(path):
            if module.split(".")[0] in ABSENT and line not in guarded:
                against.append(f"{named(path)}:{line} imports {module}")
    assert against == []


def test_portable_modules_chain_no_errors() -> None:
    """MicroPython has no ``__cause__`` and says so on stderr each time: ``from None``."""
    against = []
    for path in [ROOT / name for name in portable()]:
        for node in ast.walk(tree(path)):
            cause = node.cause if isinstance(node, ast.Raise) else None
            if cause is not None and not (isinstance(cause, ast.Constant) and cause.value is None):
                against.append(f"{named(path)}:{node.lineno}")
    assert against == []


def test_firmware_errors_derive_from_the_project_base_only() -> None:
    builtin = {"ValueError", "OSError", "RuntimeError", "KeyError", "Exception", "TimeoutError"}
    against = []
    for path in tracked():
        if not named(path).startswith("firmware/") or named(path) == "firmware/errors.py":
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                bases = {getattr(base, "id", "") for base in node.bases}
                if bases & builtin:
                    against.append(f"{named(path)}:{node.lineno} {node.name} {sorted(bases)}")
    assert against == []


def test_tests_never_sleep_on_the_wall_clock() -> None:
    against = []
    for path in tracked():
        if not named(path).startswith("tests/"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = getattr(node.func.value, "id", "")
                if (owner, node.func.attr) == ("time", "sleep"):
                    against.append(f"{named(path)}:{node.lineno}")
    assert against == []


@pytest.mark.parametrize(
    "name",
    ["README.md", "README.zh-CN.md", "CHANGELOG.md", "docs/architecture.md", "docs/threat-model.md",
     "docs/dependencies.md", "docs/journal.md", "docs/emulator.md"],
)  # fmt: skip
def test_the_pages_of_the_house_exist(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8")) > 500


def test_what_the_tools_read_is_in_a_wheel() -> None:
    """A folder beside ``host_tools`` that is read at run time is installed with it."""
    import tomllib
    from fnmatch import fnmatch

    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = setuptools["packages"]["find"]["include"]
    files = setuptools["package-data"]["*"]
    missing = [
        path.relative_to(ROOT).as_posix()
        for path in [enrol.TEST_KEYS, *board_rules.BOARDS.rglob("*.toml")]
        if not any(fnmatch(path.relative_to(ROOT).parts[0], folder) for folder in folders)
        or not any(fnmatch(path.name, file) for file in files)
    ]
    assert missing == []


def test_every_dependency_has_its_reason() -> None:
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8").lower()
    missing = [w for w in wanted if re.split(r"[><=\[]", w)[0].lower() not in page]
    assert missing == []
