"""What an answer to reset asks of a terminal that talks to the card itself
(EMV 4.4 Book 1, 8.3.3): which are accepted, and the parameters they set.

Written from the rules as public implementations quote them; where the editions
differ the older and wider rule stands (TC1 of any value, TB1 looked at after a
cold reset alone).
"""

from firmware.buses.atr import AtrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.atr import Atr


class Parameters:
    """``divisor``: D, 1, 2 or 4, with F = 372. ``extra``: guard time between characters
    to the card beyond the least, in etu. ``wi``: work waiting time integer of T=0. Of
    T=1 ``ifsc``: largest information field the card takes, ``bwi`` and ``cwi``: block and
    character waiting time integers."""

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol
        self.divisor = 1
        self.extra = 0
        self.wi = 10
        self.ifsc = 32
        self.bwi = 0
        self.cwi = 0


def parameters(offered: "Atr", warm: bool) -> Parameters:
    """The parameters of a card in specific mode, or the defaults that one in negotiable
    mode keeps (8.3.3.1). AtrError when the card must be rejected; ``warm``: this answered
    a warm reset."""
    has: "dict[str, int]" = {}
    for name, value in offered.interface:
        has.setdefault(name, value)
    found = Parameters(offered.protocol())
    if not warm and has.get("TB1", -1) != 0:  # 8.3.3.2
        raise AtrError("ATR without TB1 = 0")
    if "TB2" in has:  # 8.3.3.6
        raise AtrError("ATR with TB2")
    _speed(has, found)
    extra = has.get("TC1", 0)  # 8.3.3.3
    found.extra = 0 if extra == 0xFF else extra
    if "TD2" in has:  # 8.3.3.8
        second = has["TD2"] & 0x0F
        if second != 1 and not (second == 14 and found.protocol == 0):
            raise AtrError("ATR with TD2 " + hex(has["TD2"]))
    if found.protocol == 0:
        found.wi = has.get("TC2", 10)  # 8.3.3.7
        if found.wi == 0:
            raise AtrError("ATR with TC2 = 0")
    else:
        _blocks(has, found, -1 if extra == 0xFF else extra)
    return found


def _speed(has: "dict[str, int]", found: Parameters) -> None:
    """TA1 and TA2 (8.3.3.1, 8.3.3.5)."""
    mode = has.get("TA2", -1)
    if mode < 0:
        return
    if mode & 0x10 or mode & 0x0F != found.protocol:
        raise AtrError("ATR with TA2 " + hex(mode))
    speed = has.get("TA1", 0x11)
    if speed not in (0x11, 0x12, 0x13):
        raise AtrError("ATR sets speed TA1 " + hex(speed))
    found.divisor = 1 << (speed & 0x0F) - 1


def _blocks(has: "dict[str, int]", found: Parameters, extra: int) -> None:
    """TA3, TB3 and TC3 of T=1 (8.3.3.9 to 8.3.3.11)."""
    if has.get("TD2", 0) & 0x0F != 1 or "TB3" not in has:
        raise AtrError("ATR offers T=1 without TB3")
    found.ifsc = has.get("TA3", 32)
    if not 16 <= found.ifsc <= 254:
        raise AtrError("ATR with IFSC " + str(found.ifsc))
    found.bwi = has["TB3"] >> 4
    found.cwi = has["TB3"] & 0x0F
    if found.bwi > 4 or found.cwi > 5 or 1 << found.cwi <= extra + 1:
        raise AtrError("ATR with TB3 " + hex(has["TB3"]) + " and guard time " + str(extra))
    if has.get("TC3", 0):
        raise AtrError("ATR wants a CRC")
