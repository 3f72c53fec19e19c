"""What stories of the whole device look behind the scenes with."""

from typing import Any

import pytest

from firmware.app import boot
from firmware.app.terminal import Terminal


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch) -> list[Terminal]:
    """Every terminal that boots, as the flows see it."""
    made: list[Terminal] = []
    boots = boot.boot

    async def told(*given: Any) -> Terminal:
        made.append(await boots(*given))
        return made[-1]

    monkeypatch.setattr(boot, "boot", told)
    return made
