"""The suites of the device kinds run again, each driver on other buses.

A suite makes its devices by a fixture ``make``, or by a function of its module; in the
module that runs it again others stand in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import getsource, signature
from types import ModuleType
from typing import Any

import pytest

#: Given what makes a rack on the other buses, makes a device of its kind.
Maker = Callable[..., Any]


class Again:
    """``makers``: suite and maker by name; ``functions``: suite, its function, maker.
    ``left_out``: tests, or pairs of a test and a maker's name. ``fixtures``: tests that
    want one of them are of other buses."""

    def __init__(
        self,
        makers: Mapping[str, tuple[ModuleType, Maker]],
        functions: Sequence[tuple[ModuleType, str, Maker]],
        left_out: set[str | tuple[str, str]],
        fixtures: set[str] = frozenset({"usb", "device"}),  # type: ignore[assignment]  # read only
    ) -> None:
        self._makers, self._functions = makers, functions
        self._left_out, self._fixtures = left_out, fixtures

    def tests(self) -> dict[str, Any]:
        """All tests that make a device, under names of their own."""
        modules = {module for module, _ in self._makers.values()}
        modules |= {module for module, _, _ in self._functions}
        found = {}
        for module in sorted(modules, key=lambda module: module.__name__):
            kind = module.__name__.rpartition("test_")[2]
            for name, test in vars(module).items():
                own = name.startswith("test_") and test.__module__ == module.__name__
                if own and self._ours(module, name, test):
                    found[f"test_{kind}_{name[5:]}"] = test
        return found

    def _ours(self, module: ModuleType, name: str, test: Any) -> bool:
        wanted = set(signature(test).parameters)
        if name in self._left_out or self._fixtures & wanted:
            return False
        calls = [f"{function}(" for suite, function, _ in self._functions if suite is module]
        return "make" in wanted or any(call in getsource(test) for call in calls)

    def generate(self, metafunc: pytest.Metafunc) -> None:
        """For ``pytest_generate_tests``: each test with ``make`` runs on the makers of its kind."""
        if "make" in metafunc.fixturenames:
            test = metafunc.function
            fitting = {
                name: maker
                for name, (module, maker) in self._makers.items()
                if module.__name__ == test.__module__
                and (test.__name__, name) not in self._left_out
            }
            metafunc.parametrize("make", fitting.values(), ids=fitting, indirect=True)

    def stand_in(self, test: Any, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put our makers in the place of the functions of ``test``'s suite."""
        for module, name, maker in self._functions:
            if test.__module__ == module.__name__:
                monkeypatch.setattr(module, name, lambda *args, maker=maker: maker(build, *args))
