"""The UnionPay terminal dialect as data: fields, codes, header digits.

Names and sizes are those of the China UnionPay POS interface (Q/CUP 009).
Field 22 is packed to the left (pad on the right), field 23 to the right, as
the standard's field descriptions say for these two.
"""

from binascii import hexlify

from firmware.payment.host.iso8583 import Codec, Dialect, Field

NAME = "unionpay"


def _fields() -> "list[Field]":
    return [
        Field(2, "n", 2, 19),  # primary account number
        Field(3, "n", 0, 6),  # processing code
        Field(4, "n", 0, 12),  # amount, minor units
        Field(11, "n", 0, 6),  # STAN
        Field(12, "n", 0, 6),  # local time
        Field(13, "n", 0, 4),  # local date, MMDD
        Field(14, "n", 0, 4),  # expiry, YYMM
        Field(15, "n", 0, 4),  # settlement date
        Field(22, "n", 0, 3, side="right"),  # entry mode
        Field(23, "n", 0, 3, side="left"),  # card sequence number
        Field(25, "n", 0, 2),  # service condition
        Field(26, "n", 0, 2),  # PIN length capability
        Field(32, "n", 2, 11),  # acquirer
        Field(35, "z", 2, 37),  # track 2
        Field(36, "z", 3, 104),  # track 3
        Field(37, "an", 0, 12),  # RRN
        Field(38, "an", 0, 6),  # authorisation code
        Field(39, "an", 0, 2),  # answer code
        Field(41, "ans", 0, 8),  # terminal
        Field(42, "ans", 0, 15),  # merchant
        Field(44, "ans", 2, 25),  # issuer and acquirer ids
        Field(48, "n", 3, 322),  # settlement totals, batch details
        Field(49, "an", 0, 3),  # currency
        Field(52, "b", 0, 8),  # PIN block
        Field(53, "n", 0, 16),  # security control
        Field(54, "ans", 3, 20),  # balance
        Field(55, "b", 3, 255),  # EMV data
        Field(58, "text", 3, 100),  # electronic cash
        Field(59, "text", 3, 600),  # QR code and order, auxiliary data
        Field(60, "n", 3, 17),  # message type code, batch, network code ...
        Field(61, "n", 3, 29),  # original transaction
        Field(62, "b", 3, 999),  # keys, parameters
        Field(63, "text", 3, 163),  # operator or card organisation, host text
        Field(64, "b", 0, 8),  # MAC
    ]


_codecs: "list[Codec]" = []


def codec() -> Codec:
    """The compiled codec, made on first use (memory on microcontrollers)."""
    if not _codecs:
        _codecs.append(Codec(Dialect(NAME, _fields())))
    return _codecs[0]


#: Field 39: approved as asked.
APPROVED = ("00", "11", "16")
#: Field 39: approved with a defect that the acquirer settles later.
APPROVED_WITH_DEFECT = ("A2", "A4", "A5", "A6")
#: Field 39: approved for less, only where 60.6 offered it.
PARTIAL = "10"
#: Field 39: the working keys or the batch are not the host's; sign in once.
SIGN_IN_AGAIN = ("77", "99", "A0")
#: Field 39 of answers that the host cannot sign, having no keys in common
#: with the terminal. Kept short on purpose: an unsigned decline is not proof.
UNSIGNED = ("77", "97", "99", "A0")
#: Field 39: the host does not know the original. It settles a reversal only under
#: the original's fields 41 and 42.
NOT_FOUND = "25"
#: Field 39 of a 0410 or 0630 that settles the matter: done, or never known.
REVERSAL_DONE = ("00", "12", NOT_FOUND)

#: Field 39 of a reversal: why it is sent.
REASON_NO_ANSWER = "98"
REASON_FAULT = "96"
REASON_MAC = "A0"
REASON_OTHER = "06"

#: Header digit 8, what the host asks for: name by digit.
DEMANDS = {
    "0": "none",
    "1": "download stripe parameters",
    "2": "upload status",
    "3": "sign in again",
    "4": "update CA keys",
    "5": "download chip parameters",
    "6": "terminal management",
    "7": "download blacklist",
}


def header_digits(header: bytes) -> "dict[str, str]":
    """The six header bytes by name; see docs/decoders.md."""
    digits = hexlify(header).decode().upper()
    return {
        "class": digits[0:2],
        "version": digits[2:4],
        "status": digits[4:5],
        "demand": digits[5:6],
        "reserved": digits[6:12],
    }
