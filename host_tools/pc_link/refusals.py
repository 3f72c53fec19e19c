"""Why a request or a connection failed, in words that say what to do next."""

from typing import Any

from firmware.errors import TillError
from firmware.link import packets, services
from firmware.link.end import NoAnswer, PeerClosed, PipeGivenUp, Refused, SessionLost
from firmware.link.session import HandshakeFailed, KeyChanged
from host_tools.pc_link.calls import CallFailed
from host_tools.pc_link.discovery import printable
from host_tools.pc_link.pipes import PortAbsent, PortForbidden, PortHeld
from host_tools.pc_link.terminal_words import words
from host_tools.texts import later, said

#: Longest word of a terminal's that is repeated.
_MOST = 120
#: This end's own codes beside those of the table.
ANSWER, STREAMS, STRANGER = "answer", "streams", "stranger"

_CODES = {
    services.BAD_ARGUMENTS: later("the terminal does not take this request ({detail})"),
    services.NOT_ALLOWED: later(
        "this PC's roles do not allow it; pair again and ask for the role (`till pair --role`)"
    ),
    services.NO_SERVICE: later("the terminal's firmware does not know this request; update it"),
    services.BUSY: later("the terminal is busy; try again when it shows its idle screen"),
    services.CANCELLED: later("the request was given up"),
    services.DEADLINE: later("the terminal did not do it in time; try again"),
    services.LOST: later("the link to the terminal was lost; look at the cable and try again"),
    services.FAILED: later("the terminal could not do it ({detail})"),
    services.WINDOW: later(
        "the terminal's pairing is not open: in its menu choose the PC link, then pairing"
    ),
    services.REFUSED: later("the merchant refused on the terminal"),
    services.CODE: later("the code was wrong and is dead; begin again for a new one"),
    "slow": later("this PC did not read quickly enough; try again"),
    "version": later("the terminal's settings are newer; get them first and try again"),
    "signature": later("the terminal does not accept who signed these settings"),
    "expired": later("the terminal does not keep records that old any more"),
    "fork": later("the terminal's journal is another one than the PC's"),
    "used": later("this terminal has taken payments already; restore onto a new one"),
    "foreign": later("the backup is of another merchant or terminal id ({detail})"),
    "archive": later("the terminal does not accept the backup ({detail})"),
    ANSWER: later("the terminal gave an answer that it may not give ({detail}); update both ends"),
    STREAMS: later("the terminal does not take more at once ({detail}); try again"),
}

_CLOSED = {
    packets.DONE: later("the terminal ended the session; try again"),
    packets.BROKEN: later("the terminal says that this PC broke the protocol; update both ends"),
    packets.UNVERIFIED: later("a record did not verify at the terminal; try again"),
    packets.HANDSHAKE: later("the terminal did not accept the handshake; update both ends"),
    packets.NO_ANSWER: later("the terminal says that this PC did not answer in time; try again"),
    packets.REVOKED: later("the terminal revoked this PC; pair again if that was a mistake"),
    packets.STOPPING: later("the terminal stops or starts anew; try again in a moment"),
    packets.RAN_OUT: later("the session was used up; try again"),
}


def refused(code: str, details: dict[Any, Any]) -> CallFailed:
    """The error for ERROR ``code``."""
    told_of = [details[key] for key in sorted(details, key=str)[:3]]
    detail = ", ".join([words(one) for one in told_of if one != ""]) or printable(code)
    text = _CODES.get(code)
    if text is None:
        told = said("the terminal refused ({detail})", detail=f"{printable(code)} {detail}".strip())
    elif "{" in text:
        told = said(text, detail=detail)
    else:
        told = said(text)
    return CallFailed(told, code, details)


def no_port(place: str, error: TillError) -> CallFailed:
    """Why a pipe does not open."""
    if isinstance(error, PortForbidden):
        text = said("{place}: this user may not open the port; `till doctor` says how to mend it",
                    place=place)  # fmt: skip
    elif isinstance(error, PortHeld):
        text = said("{place}: another program has the port; `till doctor` names it", place=place)
    elif isinstance(error, PortAbsent):
        text = said("{place}: nothing is there; plug the terminal in or turn it on, `till devices` "
                    "shows what there is", place=place)  # fmt: skip
    else:
        text = f"{place}: {printable(error, _MOST)}"
    return CallFailed(text, services.LOST)


def ended(place: str, error: TillError | None) -> CallFailed:
    """Why a session is over, or never began."""
    return CallFailed(_why(place, error), services.LOST)


def _why(place: str, error: TillError | None) -> str:
    if isinstance(error, NoAnswer):
        return said("{place}: no terminal answers; is it on, and is this its port?", place=place)
    if isinstance(error, Refused):
        if error.reason == packets.BAD_VERSION:
            least, most = error.refusal >> 8, error.refusal & 0xFF
            return said("{place}: the terminal speaks versions {least} to {most} of the link, this "
                        "PC {own}; update the older one", place=place, least=least, most=most,
                        own=packets.VERSION)  # fmt: skip
        if error.reason == packets.BUSY:
            return said("{place}: the terminal is busy with another PC; try again in {seconds} s",
                        place=place, seconds=error.refusal)  # fmt: skip
        return said("{place}: the terminal refused (reason {reason})", place=place,
                    reason=error.reason)  # fmt: skip
    if isinstance(error, KeyChanged):
        return said("DANGER at {place}: {detail}. It was repaired, or somebody poses as it. "
                    "Nothing was told to it. Only if you know why: `till unpair` its serial "
                    "number, then pair again", place=place,
                    detail=printable(error, _MOST))  # fmt: skip
    if isinstance(error, HandshakeFailed):
        return said("{place}: what answers is no terminal of this kind, or somebody is in between "
                    "({detail})", place=place, detail=printable(error, _MOST))  # fmt: skip
    if isinstance(error, PeerClosed) and error.reason in _CLOSED:
        return said("{place}: {detail}", place=place, detail=said(_CLOSED[error.reason]))
    if isinstance(error, PipeGivenUp | SessionLost) or error is None:
        return said("{place}: {detail}", place=place, detail=said(_CODES[services.LOST]))
    return said("{place}: the link ended ({detail})", place=place, detail=printable(error, _MOST))
