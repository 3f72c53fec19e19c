"""What the journal on a simulated disk holds, read by nothing but its format."""

from typing import Any

from firmware.payment.journal import records, segment
from tests.support.faulty_disk import FaultyDisk

NAMES = {
    value: name
    for name, value in vars(records).items()
    if name.isupper() and not name.startswith(("K_", "C_", "MAX_", "_")) and isinstance(value, int)
}


def read(disk: FaultyDisk) -> list[tuple[str, dict[int, Any]]]:
    """(kind's name, body) of every readable record, in order, without checkpoints."""
    found = []
    for name, data in sorted(disk.snapshot().items()):
        if not name.endswith(".seg"):
            continue
        at = 0
        while (frame := segment.parse(data, at)) is not None:
            body = frame.content()
            if frame.kind != records.CHECKPOINT and body is not None:
                found.append((NAMES[frame.kind], body))
            at = frame.end
    return found


def of(disk: FaultyDisk, stan: int) -> list[str]:
    """The kinds of the records about one STAN, in order."""
    return [kind for kind, body in read(disk) if body.get(records.K_STAN) == stan]
