"""Each reset of a link in the journal, with its cause and what came of it.

A link that stays dead is reset again and again: what is alike is told once an hour.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.payment.journal import records
from firmware.services.recovery_ladder import RUNGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.app.terminal import Terminal
    from firmware.services.recovery_ladder import Step

AGAIN_MS = 3_600_000
#: Resets that wait for the journal; more at once are dropped.
WAITING = 12
_RUNGS = [rung for rung, _ in RUNGS]


def begin(t: "Terminal") -> aio.Task:
    """Hear of the links' resets from now on, until what this gives is cancelled."""
    queue = aio.Queue(WAITING)
    told: "dict[tuple[str, str], tuple[str, str, int]]" = {}

    def heard(step: "Step") -> None:
        if step.what not in _RUNGS:
            return
        place = (step.link, step.what)
        before = told.get(place)
        if (
            before is None
            or before[:2] != (step.cause, step.result)
            or aio.elapsed_ms(before[2]) >= AGAIN_MS
        ):
            told[place] = (step.cause, step.result, aio.ticks_ms())
            queue.put(step)

    t.devices.step_listeners.append(heard)
    return aio.spawn("link log", _keep(t, queue))


async def _keep(t: "Terminal", queue: aio.Queue) -> None:
    while True:
        step = await queue.get()
        if not t.may_journal:
            continue
        detail = step.link + " " + step.what + ", " + step.cause + ": " + step.result
        detail += ", " + str(step.took_ms) + " ms"
        body: "dict[int, Any]" = {records.K_CODE: "link_reset", records.K_DETAIL: detail[:200]}
        try:
            body[records.K_TIME] = await t.devices.clock.now()
        except TillError:
            pass  # a dead clock: the record's place tells as much
        try:
            await t.journal.append(records.NOTICE, body, sync=False)
        except TillError as error:
            t.note_failure("files", error)
