"""The answer to reset of a chip card (ISO/IEC 7816-3, 8; EMV 4.4 Book 1, 8)."""

from firmware.errors import TillError

#: TS, T0 and at most 32 more characters (ISO/IEC 7816-3, 8.1).
MOST = 33


class AtrError(TillError):
    """The card's answer to reset is not one; the text says what is wrong."""

    text_key = "error.card_mute"


class Atr:
    """What an answer to reset says.

    ``protocols``: offered transmission protocols in order (T=0 if none is
    named). ``historical``: the historical characters. ``interface``: list of
    (name, value) such as ("TB1", 0).
    """

    def __init__(
        self,
        protocols: "list[int]",
        historical: bytes,
        interface: "list[tuple[str, int]]",
    ) -> None:
        self.protocols = protocols
        self.historical = historical
        self.interface = interface

    def protocol(self) -> int:
        """The protocol to talk: the first offered (EMV 4.4 Book 1, 8.3.3.4)."""
        return self.protocols[0]


def missing(begun: bytes) -> int:
    """How many characters at least must follow those of an ATR that came so far."""
    if len(begun) < 2:
        return 2 - len(begun)
    end = 2
    follow = begun[1] >> 4
    check = 0
    while follow:
        for bit in (1, 2, 4, 8):
            if follow & bit:
                end += 1
        if not follow & 8:
            break
        if len(begun) < end:
            return end - len(begun)
        follow = begun[end - 1] >> 4
        if begun[end - 1] & 0x0F:
            check = 1
    return max(end + (begun[1] & 0x0F) + check - len(begun), 0)


def parse(atr: bytes) -> Atr:
    """Check an ATR and take it apart. AtrError when the card must be rejected.

    TS must name a convention, every announced character must be there and
    nothing after it, the first protocol must be T=0 or T=1, and TCK must
    be there and right unless only T=0 is offered.
    """
    if len(atr) < 2:
        raise AtrError("ATR of " + str(len(atr)) + " bytes")
    if len(atr) > MOST:
        raise AtrError("ATR of " + str(len(atr)) + " bytes, at most " + str(MOST))
    if atr[0] not in (0x3B, 0x3F):
        raise AtrError("ATR begins with TS " + hex(atr[0]))
    historical = atr[1] & 0x0F
    follow = atr[1] >> 4
    place = 2
    group = 1
    protocols: "list[int]" = []
    interface: "list[tuple[str, int]]" = []
    while follow:
        again = 0
        for bit, letter in ((1, "A"), (2, "B"), (4, "C"), (8, "D")):
            if not follow & bit:
                continue
            if place >= len(atr):
                raise AtrError("ATR ends before T" + letter + str(group))
            value = atr[place]
            place += 1
            interface.append(("T" + letter + str(group), value))
            if letter == "D":
                again = value >> 4
                protocols.append(value & 0x0F)
        follow = again
        group += 1
    if not protocols:
        protocols = [0]
    if protocols[0] not in (0, 1):
        raise AtrError("ATR offers protocol T=" + str(protocols[0]))
    needs_check = False
    for protocol in protocols:
        if protocol != 0:
            needs_check = True
    whole = place + historical + (1 if needs_check else 0)
    if len(atr) != whole:
        raise AtrError("ATR has " + str(len(atr)) + " bytes, it announces " + str(whole))
    if needs_check:
        check = 0
        for byte in atr[1:]:
            check ^= byte
        if check:
            raise AtrError("ATR fails its check character")
    return Atr(protocols, atr[place : place + historical], interface)
