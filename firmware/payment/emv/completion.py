"""Online processing and completion (EMV 4.4 Book 3, 10.9 to 10.11)."""

from firmware.payment.emv import actions, bits, scripts
from firmware.payment.emv.actions import AAC, ARQC, TC
from firmware.payment.emv.session import Ended
from firmware.payment.emv.steps import GoOnline, HostAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.actions import Cryptogram
    from firmware.payment.emv.session import Run, Session

#: 8A values that mean approval (Book 4, Annex A6), unless the dialect decides.
APPROVALS = (b"00", b"10", b"11")


def complete(s: "Session", first: "Cryptogram") -> "Run[None]":
    """From the first cryptogram to the end; always raises Ended."""
    if first.kind == ARQC:
        if first.cda_failed:
            # Book 2, 6.6.2: an ARQC whose signature fails is not sent.
            s.terminal[0x8A] = b"Z1"
            yield from actions.generate_ac(s, AAC, 0x8D)
            raise Ended("declined", "cda_failed", "B2 6.6.2 b")
        yield from _online(s)
    if first.kind == TC:
        if first.cda_failed:
            raise Ended("declined", "cda_failed", "B2 6.6.2 c")
        raise Ended("approved", "offline_approved", "B3 10.8 d")
    raise Ended("declined", "offline_declined", "B3 10.8 e")


def _online(s: "Session") -> "Run[None]":
    if s.config.offline_only:
        s.trace.rule("B3 10.8 f", "an offline-only terminal cannot send this ARQC")
        yield from _unable(s, False)
        return
    answer = yield GoOnline(s.tags(), s.online_pin)
    if not isinstance(answer, HostAnswer):
        yield from _unable(s, answer.decline)
        return
    s.online = True
    approved = answer.approved
    if approved is None:
        approved = answer.arc in APPROVALS
    s.host_approved = approved
    s.terminal[0x8A] = answer.arc if answer.arc is not None and len(answer.arc) == 2 else b"  "
    s.trace.rule("B3 10.9 a", "the issuer answered", approved=approved)
    if answer.issuer_auth is not None:
        yield from _issuer_authentication(s, answer.issuer_auth)
    yield from scripts.process(s, answer, 0x71)
    s.stage("online")
    last = yield from actions.generate_ac(s, TC if approved else AAC, 0x8D)
    s.stage("second_generate_ac")
    yield from scripts.process(s, answer, 0x72)
    if last.kind == TC:
        if last.cda_failed:
            raise Ended("declined", "cda_failed", "B2 6.6.2 c")
        raise Ended("approved", "online_approved", "B3 10.11 a")
    raise Ended("declined", "card_declined" if approved else "host_declined", "B3 10.11 b")


def _issuer_authentication(s: "Session", data: bytes) -> "Run[None]":
    """EXTERNAL AUTHENTICATE, or leave 91 to CDOL2 (10.9)."""
    s.terminal[0x91] = data
    if not s.aip(bits.AIP_ISSUER_AUTH):
        s.trace.rule("B3 10.9 b", "no EXTERNAL AUTHENTICATE for this card")
        return
    s.set_tsi(bits.ISSUER_AUTH_PERFORMED, "B3 10.9 c")
    if not 8 <= len(data) <= 16:
        s.trace.rule("house f", "91 has not 8 to 16 bytes")
        s.set_tvr(bits.ISSUER_AUTH_FAILED, "house f")
        return
    _, sw = yield from s.send(bytes((0, 0x82, 0, 0, len(data))) + data)
    if sw != 0x9000:
        s.set_tvr(bits.ISSUER_AUTH_FAILED, "B3 10.9 d")


def _unable(s: "Session", decline: bool) -> "Run[None]":
    """No answer: default action codes, or AAC where bytes have left (10.9, 10.7)."""
    if decline or s.config.online_only:
        s.trace.rule("house g", "unable to go online, so AAC", bytes_left=decline)
        wanted = AAC
    elif actions.default_denies(s):
        s.trace.rule("B3 10.7 f", "unable to go online: denied by default codes")
        wanted = AAC
    else:
        s.trace.rule("B3 10.7 g", "unable to go online: approved by default codes")
        wanted = TC
    s.terminal[0x8A] = b"Z3" if wanted == AAC else b"Y3"
    last = yield from actions.generate_ac(s, wanted, 0x8D)
    if last.kind == TC and not last.cda_failed:
        raise Ended("approved", "unable_offline_approved", "B3 10.7 g")
    raise Ended("declined", "cda_failed" if last.cda_failed else "unable_to_go_online", "B3 10.7 f")
