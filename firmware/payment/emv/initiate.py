"""Initiate application processing: GET PROCESSING OPTIONS (EMV 4.4 Book 3, 10.1)."""

from firmware.payment.emv import tlv
from firmware.payment.emv.dictionary import NOT_FROM_CARD
from firmware.payment.emv.session import Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.session import Run, Session


def initiate(s: "Session") -> "Run[bool]":
    """Send GPO and keep AIP and AFL; False: go back to selection (6985)."""
    pdol = s.fci.get(0x9F38, b"")
    s.pdol_data = s.build(pdol)
    template = tlv.encode(0x83, s.pdol_data)
    command = bytes((0x80, 0xA8, 0, 0, len(template))) + template + b"\x00"
    data, sw = yield from s.send(command)
    if sw == 0x6985:
        s.trace.rule("B3 10.1 a", "conditions of use not satisfied: another application")
        return False
    if sw != 0x9000:
        raise Ended("terminated", "gpo_refused", "B3 10.1 b", f"GPO gave {sw:04X}")
    _keep(s, data)
    return True


def _keep(s: "Session", data: bytes) -> None:
    """AIP and AFL from format 1 or 2 (Book 3, 6.5.8.4)."""
    nodes = tlv.parse(data)
    if len(nodes) == 1 and nodes[0].tag == 0x80:
        aip, afl = nodes[0].value[:2], nodes[0].value[2:]
    elif len(nodes) == 1 and nodes[0].tag == 0x77 and nodes[0].children is not None:
        aip = afl = b""
        for node in nodes[0].children:
            if node.tag in s.card:
                raise Ended("terminated", "card_data", "B3 10.2 d", f"tag {node.tag:X} twice")
            if node.children is None and node.value and node.tag not in NOT_FROM_CARD:
                s.card[node.tag] = node.value
        aip = s.card.get(0x82, b"")
        afl = s.card.get(0x94, b"")
    else:
        raise Ended("terminated", "card_data", "B3 6.5.8.4 a", "GPO answer is neither 80 nor 77")
    if len(aip) != 2:
        raise Ended("terminated", "card_data", "B3 6.5.8.4 b", "AIP is missing or wrong")
    if not afl or len(afl) % 4:
        raise Ended("terminated", "card_data", "B3 6.5.8.4 c", "AFL is missing or wrong")
    s.card[0x82] = aip
    s.card[0x94] = afl
