"""CVM Results (9F34) and CVM List (8E), EMV 4.4 Book 3 10.5, Annex C3; Book 4 A4."""

from typing import Any

from host_tools.decoders.common import BadInput, parse_hex

METHODS = {
    0x00: "Fail CVM processing",
    0x01: "Plaintext PIN verified by the card",
    0x02: "Enciphered PIN verified online",
    0x03: "Plaintext PIN verified by the card, and signature",
    0x04: "Enciphered PIN verified by the card",
    0x05: "Enciphered PIN verified by the card, and signature",
    0x06: "Facial biometric verified by the card",
    0x07: "Facial biometric verified online",
    0x08: "Finger biometric verified by the card",
    0x09: "Finger biometric verified online",
    0x0A: "Palm biometric verified by the card",
    0x0B: "Palm biometric verified online",
    0x0C: "Iris biometric verified by the card",
    0x0D: "Iris biometric verified online",
    0x0E: "Voice biometric verified by the card",
    0x0F: "Voice biometric verified online",
    0x1E: "Signature",
    0x1F: "No CVM required",
    0x3F: "No CVM performed",
}
CONDITIONS = {
    0x00: "Always",
    0x01: "If unattended cash",
    0x02: "If not unattended cash, not manual cash and not purchase with cashback",
    0x03: "If the terminal supports the CVM",
    0x04: "If manual cash",
    0x05: "If purchase with cashback",
    0x06: "If in the application currency and under X",
    0x07: "If in the application currency and over X",
    0x08: "If in the application currency and under Y",
    0x09: "If in the application currency and over Y",
}
RESULTS = {0: "Unknown", 1: "Failed", 2: "Successful"}


def _range(code: int, names: dict[int, str], vendor: int) -> str:
    if code in names:
        return names[code]
    return "Reserved for payment systems or issuers" if code >= vendor else "Reserved"


def method(code: int) -> str:
    """Name of a CVM code's lower six bits."""
    return _range(code & 0x3F, METHODS, 0x20)


def condition(code: int) -> str:
    """Name of a CVM condition code."""
    return _range(code, CONDITIONS, 0x80)


def _rule(code: int, when: int) -> dict[str, Any]:
    return {
        "code": f"{code:02X}{when:02X}",
        "method": method(code),
        "condition": condition(when),
        "if_unsuccessful": "next" if code & 0x40 else "fail",
    }


def decode(text: str) -> dict[str, Any]:
    """Three bytes are CVM Results; eight or more, an even count, a CVM List."""
    data = parse_hex(text)
    if len(data) == 3:
        return {
            "kind": "results",
            "value": data.hex().upper(),
            **_rule(data[0], data[1]),
            "result": RESULTS.get(data[2], "Reserved"),
        }
    if len(data) < 8:
        reason = f"{len(data)} bytes: CVM Results have 3, a CVM List at least 8"
        raise BadInput(reason, len(data))
    if len(data) % 2:
        raise BadInput(
            "a CVM List has amounts X and Y and then pairs; one byte is left", len(data) - 1
        )
    return {
        "kind": "list",
        "value": data.hex().upper(),
        "x": int.from_bytes(data[:4], "big"),
        "y": int.from_bytes(data[4:8], "big"),
        "rules": [_rule(data[at], data[at + 1]) for at in range(8, len(data), 2)],
    }


def render(result: dict[str, Any]) -> list[str]:
    """Readable lines."""
    if result["kind"] == "results":
        return [
            f"CVM Results {result['value']}",
            f"  method: {result['method']}",
            f"  condition: {result['condition']}",
            f"  result: {result['result']}",
        ]
    lines = [f"CVM List {result['value']}", f"  X {result['x']}, Y {result['y']}"]
    lines += [
        f"  {rule['code']} {rule['method']}; {rule['condition']}; "
        f"if unsuccessful: {rule['if_unsuccessful']}"
        for rule in result["rules"]
    ]
    return lines
