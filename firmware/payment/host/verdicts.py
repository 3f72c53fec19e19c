"""What an answer means: does it belong to the request, is it approved, what is owed.

Rules of money 2, 5, 6 and 7 in one place, without I/O.
"""

from firmware.payment.host import unionpay
from firmware.payment.host.iso8583 import Message
from firmware.payment.host.subfields import split_60

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.host.exchange import Answer

#: Fields that an answer must repeat.
ECHOED = (3, 4, 11, 41, 42)
#: Those that even a decline must repeat: a host that could not read the rest
#: of a request may leave the others out of a refusal.
_ALWAYS = (11, 41, 42)

APPROVED = "approved"
PARTIAL = "partial"
DECLINED = "declined"
UNUSABLE = "unusable"


def answer_mti(mti: str) -> str:
    """MTI of the answer: 0200 -> 0210, 0620 -> 0630 (ISO 8583:1987, 4.1.1)."""
    return mti[:2] + str(int(mti[2]) + 1) + mti[3:]


def positive(code: str) -> bool:
    """Whether field 39 says that the host did it, in whole or in part."""
    return (
        code in unionpay.APPROVED
        or code in unionpay.APPROVED_WITH_DEFECT
        or code == unionpay.PARTIAL
    )


def mismatch(request: Message, answer: Message) -> "str | None":
    """None when ``answer`` answers ``request``, else what differs."""
    expected = answer_mti(request.mti)
    if answer.mti != expected:
        return "MTI is " + answer.mti + ", not " + expected
    code = answer.fields.get(39)
    if not isinstance(code, str) or len(code) != 2 or " " in code:
        return "field 39 is missing"
    for number in ECHOED:
        if number not in request.fields:
            continue
        if number not in answer.fields:
            if number in _ALWAYS or positive(code):
                return "field " + str(number) + " is missing"
        elif answer.fields[number] != request.fields[number]:
            if number == 4 and code == unionpay.PARTIAL and offers_partial(request):
                continue
            return "field " + str(number) + " differs"
    return None


def offers_partial(request: Message) -> bool:
    """Whether 60.6 of the request offered approval for less."""
    return split_60(request.text(60)).get("60.6") == "1"


class Verdict:
    """What a payment's answer means.

    ``kind``: APPROVED, PARTIAL (``amount`` counts), DECLINED, UNUSABLE (do
    not trust it: nothing is approved). ``code``: field 39. ``reverse``: field
    39 of the reversal that is owed, "" for none. ``sign_in``: sign in once by
    itself, then the merchant starts a new payment. ``reason``: for the engineer.
    """

    def __init__(
        self,
        kind: str,
        code: str,
        reverse: str = "",
        reason: str = "",
        sign_in: bool = False,
        amount: int = 0,
    ) -> None:
        self.kind = kind
        self.code = code
        self.reverse = reverse
        self.reason = reason
        self.sign_in = sign_in
        self.amount = amount


def payment(request: Message, answer: "Answer") -> Verdict:
    """Verdict on the answer to a request that moves money."""
    message = answer.message
    code = message.text(39)
    if answer.mismatch is not None:
        return Verdict(UNUSABLE, code, unionpay.REASON_FAULT, answer.mismatch)
    amount = int(request.text(4))
    mac = answer.mac_state
    if positive(code):
        if mac != "ok":
            return Verdict(UNUSABLE, code, unionpay.REASON_MAC, "approval with " + mac + " MAC")
        if code != unionpay.PARTIAL:
            return Verdict(APPROVED, code, amount=amount)
        given = int(message.text(4))
        if not offers_partial(request) or not 0 < given < amount:
            return Verdict(UNUSABLE, code, unionpay.REASON_FAULT, "partial approval not offered")
        return Verdict(PARTIAL, code, amount=given)
    sign_in = code in unionpay.SIGN_IN_AGAIN
    if mac == "ok" or (mac == "missing" and code in unionpay.UNSIGNED):
        return Verdict(DECLINED, code, sign_in=sign_in)
    reason = "decline with " + mac + " MAC"
    return Verdict(DECLINED, code, unionpay.REASON_MAC, reason, sign_in)


#: Verdicts on the answer to a reversal or an advice.
DONE = "done"
RETRY = "retry"
SIGN_IN = "sign_in"


def advice(answer: "Answer") -> str:
    """Verdict on a 0410 or 0630: DONE only if it matches, its MAC verifies
    and field 39 is 00, 12 or 25; SIGN_IN when the keys are not the host's."""
    if answer.mismatch is not None:
        return RETRY
    code = answer.message.text(39)
    if code in unionpay.REVERSAL_DONE and answer.mac_state == "ok":
        return DONE
    if code in unionpay.SIGN_IN_AGAIN and answer.mac_state != "bad":
        return SIGN_IN
    return RETRY


def accepted(answer: "Answer") -> bool:
    """Whether a sign-in, sign-out or echo was answered with 00. These carry
    no MAC; one that is there must verify."""
    return answer.mismatch is None and answer.message.text(39) == "00" and answer.mac_state != "bad"
