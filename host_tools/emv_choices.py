"""What a recording says of the cardholder's choice of an application (docs/emv-replay.md)."""

from collections.abc import Sequence
from typing import Any

from firmware.payment.emv.steps import Candidate
from host_tools.emv_input import InputError, hex_bytes, number_of

#: Longer runs of decimal digits are an AID, for an index is never so long.
_LONGEST_INDEX = 9


def aid_of(value: Any, place: str) -> bytes:
    """An AID in hex. InputError."""
    aid = hex_bytes(value, place)
    if not 5 <= len(aid) <= 16:
        raise InputError(f"{place}: an AID has 5 to 16 bytes, not {len(aid)}")
    return aid


def checked_choice(choice: Any, place: str) -> bytes | bool | int | None:
    """An index, an AID (bytes), true, false or null; InputError for anything else."""
    if choice is None or isinstance(choice, bool):
        return choice
    if isinstance(choice, str) and not (choice.isdigit() and len(choice) <= _LONGEST_INDEX):
        return aid_of(choice, place)
    return number_of(choice, place)


def chosen(
    candidates: Sequence[Candidate], choice: Any, place: str, warnings: list[str]
) -> int | None:
    """The index chosen of several applications, None for none. InputError for what is
    no choice among them; an index that none has chooses none, with a warning."""
    if isinstance(choice, bool):
        word = "true" if choice else "false"
        raise InputError(f"{place}: {word} chooses none of {_offer(candidates)}")
    if isinstance(choice, bytes):
        return _index(candidates, choice, place)
    if choice is not None and choice >= len(candidates):
        warnings.append(f"{place}: {choice} was not on offer, so none is chosen: "
                        f"{_offer(candidates)}")  # fmt: skip
    return choice if choice is None or choice < len(candidates) else len(candidates)


def confirmed(candidate: Candidate, choice: Any, place: str, warnings: list[str]) -> bool:
    """Whether the one application is agreed to: true, 1 or its AID. InputError for
    what is no answer."""
    if isinstance(choice, bytes):
        return _index([candidate], choice, place) == 0
    if choice == 0 and not isinstance(choice, bool):
        warnings.append(f"{place}: 0 is read as no: one application was to be confirmed")
    if choice not in (None, 0, 1):
        raise InputError(
            f"{place}: {choice} does not confirm {_offer([candidate])}; give true, false or its AID"
        )
    return bool(choice)


def _index(candidates: Sequence[Candidate], aid: bytes, place: str) -> int:
    """The candidate of this AID, or the only one whose AID begins with it."""
    names = [candidate.aid for candidate in candidates]
    if aid in names:
        return names.index(aid)
    begun = [name for name in names if name.startswith(aid)]
    if len(begun) != 1:
        how = "was not on offer" if not begun else "begins more than one AID"
        raise InputError(f"{place}: {aid.hex().upper()} {how}: {_offer(candidates)}")
    return names.index(begun[0])


def _offer(candidates: Sequence[Candidate]) -> str:
    return ", ".join(
        f"{index} {candidate.aid.hex().upper()}" for index, candidate in enumerate(candidates)
    )
