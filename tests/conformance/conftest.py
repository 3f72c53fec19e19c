"""What the suites share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware.buses.evdev_linux import EvdevInput
from host_tools.emulator.chips.hid_keys import HidKeys
from tests.support import event_pipes
from tests.support.event_pipes import Kernel, TypedKeys

Nodes = Callable[..., EvdevInput]


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """Makes event nodes of a chip's ``sources`` keyboards and opens them as a board does; those
    made before are out then. On virtual time with descriptors."""
    if event_pipes.why_not():
        pytest.skip(event_pipes.why_not())
    kernel = Kernel(tmp_path, monkeypatch)
    made: list[TypedKeys] = []

    def opened(chip: HidKeys, sources: int = 1) -> EvdevInput:
        for before in made:
            before.close()
        made.append(TypedKeys(kernel, chip, sources, f"{len(made)}"))
        return EvdevInput(made[-1].products, str(made[-1].folder))

    yield opened
    for keys in made:
        keys.close()
