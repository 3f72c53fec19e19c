"""TVR, TSI and AIP, bit by bit (EMV 4.4 Book 3, Annex C1, C5, C6)."""

from typing import Any

from firmware.payment.emv import bits
from host_tools.decoders.common import BadInput, parse_hex

#: Keys as in firmware.payment.emv.bits: byte << 8 | mask, byte 1 first.
AIP_NAMES = {
    0x180: "XDA supported",
    0x140: "SDA supported",
    0x120: "DDA supported",
    0x110: "Cardholder verification is supported",
    0x108: "Terminal risk management is to be performed",
    0x104: "Issuer authentication is supported",
    0x102: "Reserved for contactless (on-device cardholder verification)",
    0x101: "CDA supported",
    0x280: "Reserved for contactless (EMV mode)",
}

#: What EMV 4.4 added, or calls otherwise, and the kernel never sets: biometric
#: methods, XDA and ECC are outside it (Book 3, Annex C5).
TVR_NAMES = {
    **bits.TVR_NAMES,
    0x101: "XDA selected",
    0x202: "Biometric performed and successful",
    0x201: "Biometric template format not supported",
    0x304: "Online PIN entered (online CVM captured)",
    0x302: "Biometric required but biometric capture device not working",
    0x301: "Biometric required, capture device present, but biometric subtype entry was bypassed",
    0x404: "Biometric Try Limit exceeded",
    0x402: "A selected biometric type not supported",
    0x401: "XDA signature verification failed",
    0x508: "Reserved for contactless",
    0x504: "CA ECC key missing",
    0x502: "ECC key recovery failed",
    0x501: "Reserved for contactless",
}

#: (bytes, names, full name) by the word to decode.
WORDS: dict[str, tuple[int, dict[int, str], str]] = {
    "tvr": (5, TVR_NAMES, "Terminal Verification Results"),
    "tsi": (2, bits.TSI_NAMES, "Transaction Status Information"),
    "aip": (2, AIP_NAMES, "Application Interchange Profile"),
}


def decode(word: str, text: str) -> dict[str, Any]:
    """``word``: "tvr", "tsi" or "aip"; every set bit with its meaning."""
    size, names, _ = WORDS[word]
    data = parse_hex(text)
    if len(data) != size:
        raise BadInput(f"{word.upper()} has {size} bytes, not {len(data)}", min(len(data), size))
    found = []
    for byte in range(size):
        for bit in range(8, 0, -1):
            mask = 1 << (bit - 1)
            if data[byte] & mask:
                name = names.get((byte + 1) << 8 | mask, "Reserved for future use")
                found.append({"byte": byte + 1, "bit": bit, "name": name})
    return {"value": data.hex().upper(), "bits": found}


def render(result: dict[str, Any]) -> list[str]:
    """Readable lines."""
    lines = [f"{result['value']}"]
    lines += [f"  byte {item['byte']} bit {item['bit']}: {item['name']}" for item in result["bits"]]
    return lines if result["bits"] else [lines[0] + ": no bit is set"]
