"""``python -m tests.rig.arm64`` as one test: Debian's arm64 kernel on a Pi to our idle screen."""

from __future__ import annotations

import pytest

from tests.rig.arm64 import run
from tests.rig.arm64.build import RECIPE

pytestmark = pytest.mark.rig


def test_the_idle_screen_on_arm64_is_the_emulators() -> None:
    """Only with a guest that is there: its making takes minutes."""
    if RECIPE.why_not():
        pytest.skip(RECIPE.why_not())
    if RECIPE.cached() is None:
        pytest.skip("the arm64 guest is not in the cache: python -m tests.rig.arm64 builds it")
    result = run.boot()
    assert not result.wrong, "\n".join(run.told(result))
