"""Published MAC inputs are messages to the codec and to pyiso8583."""

from typing import Any

import iso8583 as peer
import pytest

from tests.support.vectors import vectors
from tests.unit.test_iso8583_oracle import CODEC, SPEC

_PUBLISHED = [
    row for row in vectors("mac.json")["unionpay_ecb_mac"] if row["mab"].startswith(("02", "08"))
]


@pytest.mark.parametrize("row", _PUBLISHED, ids=lambda row: str(row["mab"][:4]))
def test_published_mac_inputs_are_messages(row: dict[str, Any]) -> None:
    data = bytes.fromhex(row["mab"]) + bytes.fromhex(row["field64"])
    message = CODEC.decode(data)
    assert message.fields[64] == bytes.fromhex(row["field64"])
    assert CODEC.encode(message) == data
    decoded, _ = peer.decode(data, SPEC)
    assert decoded["60"] == message.fields[60]
