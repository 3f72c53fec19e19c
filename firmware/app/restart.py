"""The terminal starts anew because a link stays dead (services/last_rung.py)."""

from firmware import aio
from firmware.errors import TillError
from firmware.hal.restart import RestartError
from firmware.payment.journal import records
from firmware.services.last_rung import END_MS
from firmware.ui import screens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.app.terminal import Terminal
    from firmware.services.last_rung import LastRung


async def run(t: "Terminal", rung: "LastRung") -> None:
    """Restart from the idle screen: journalled with its cause, then shown, then done.

    Does not return when it happens. When it does not, the ladder hears why, and the
    merchant is served on. DisplayError.
    """
    session = t.session
    if session is not None:
        await session.lock.acquire()  # a reversal under way is waited for, none begins
    try:
        await _restart(t, rung)
    except TillError as error:
        rung.refuse(error)
    finally:
        if session is not None:
            session.lock.release()


async def _restart(t: "Terminal", rung: "LastRung") -> None:
    cause = rung.wanted
    if not cause:
        raise RestartError("restart: nobody waits for it any more")
    count = await rung.grant()
    note = {records.K_CODE: "restart", records.K_DETAIL: cause + ", " + str(count) + " in all"}
    await t.journal.append(records.NOTICE, note)
    await t.view.show(screens.message("restart.now", {}, ""))
    await t.lamps("busy")
    await t.devices.restart.restart()
    await aio.sleep_ms(END_MS)
    raise RestartError("restart: the system agreed and did not restart")
