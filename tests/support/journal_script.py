"""Record bodies of a plausible payment, and the journal's view of it.

Runs under MicroPython too.
"""

from firmware.cbor import encode
from firmware.payment.journal import records as r
from firmware.payment.journal import state_codec
from firmware.payment.journal.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Body = dict[int, Any]


def fold_bytes(journal: Journal) -> bytes:
    """The folded state, comparable."""
    return encode(state_codec.dump(journal.state))


def request(stan: int, amount: int = 1234, batch: int = 1) -> "Body":
    return {
        r.K_STAN: stan,
        r.K_BATCH: batch,
        r.K_TYPE: "sale",
        r.K_PROCESSING_CODE: "000000",
        r.K_AMOUNT: amount,
        r.K_CURRENCY: 156,
        r.K_EXPONENT: 2,
        r.K_LOCAL_TIME: "20260401120000",
        r.K_ENTRY_MODE: "051",
        r.K_CSN: "001",
        r.K_CONDITION: "00",
        r.K_PIN_PRESENT: True,
        r.K_MESSAGE_TYPE: "22",
        r.K_F60: {3: "000", 4: "5", 5: "0"},
        r.K_PAN_MASKED: "622202******1234",
        r.K_PAN_TOKEN: bytes(16),
        r.K_PAN_SEALED: bytes(range(48)),
        r.K_EMV: {
            0x95: bytes.fromhex("0880040000"),
            0x9F26: bytes(8),
            0x9F10: bytes(20),
            0x9F36: b"\x00\x01",
            0x9F27: b"\x80",
            0x82: b"\x7c\x00",
            0x84: bytes.fromhex("a000000333010101"),
        },
    }


def answer(stan: int, approved: bool = True, mac: str = "ok") -> "Body":
    body: "Body" = {
        r.K_STAN: stan,
        r.K_APPROVED: approved,
        r.K_MAC_STATE: mac,
        r.K_RESPONSE: "00" if approved else "51",
        r.K_RRN: "000000123456",
        r.K_HOST_DATE: "0401",
        r.K_HOST_TIME: "120001",
    }
    if approved:
        body[r.K_AUTH_CODE] = "A12345"
    return body


def commit(stan: int, outcome: str = r.OUTCOME_APPROVED, scripts: bytes = b"") -> "Body":
    body: "Body" = {
        r.K_STAN: stan,
        r.K_OUTCOME: outcome,
        r.K_RECEIPT: {"card_label": "UnionPay Debit", "aid": "A000000333010101", "tvr": "08"},
    }
    if scripts:
        body[r.K_SCRIPT_RESULTS] = scripts
    if outcome == r.OUTCOME_REVERSE:
        body[r.K_REASON] = "96"
    return body


async def sale(journal: Journal, amount: int = 1234, outcome: str = r.OUTCOME_APPROVED) -> int:
    """One payment as the app journals it; its STAN."""
    stan = journal.state.stan
    await journal.reserve()
    await journal.append(r.INTENT, {r.K_STAN: stan, r.K_TYPE: "sale"}, sync=False)
    await journal.append(r.REQUEST, request(stan, amount))
    await journal.append(r.ANSWER, answer(stan, outcome != r.OUTCOME_DECLINED))
    await journal.append(r.COMMIT, commit(stan, outcome))
    if outcome == r.OUTCOME_REVERSE:
        await journal.append(r.REVERSAL_SENT, {r.K_STAN: stan, r.K_ATTEMPT: 1})
        await journal.append(r.REVERSED, {r.K_STAN: stan, r.K_CODE: "00"})
    else:
        for copy in r.COPIES:
            body = {r.K_STAN: stan, r.K_COPY: copy}
            await journal.append(r.PRINTED, body, sync=copy == r.COPY_CUSTOMER)
    return stan
