"""``python -m tests.rig.arm64`` as one test: Debian's arm64 kernel on a Pi to our idle screen."""

from __future__ import annotations

import pytest

from tests.rig.arm64 import build, run

pytestmark = pytest.mark.rig


def test_the_idle_screen_on_arm64_is_the_emulators() -> None:
    """Only with a guest that is there: its making takes minutes."""
    if build.why_not():
        pytest.skip(build.why_not())
    if build.cached() is None:
        pytest.skip("the arm64 guest is not in the cache: python -m tests.rig.arm64 builds it")
    result = run.boot()
    assert not result.wrong, "\n".join(run.told(result))
