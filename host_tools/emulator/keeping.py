"""What a machine's folder keeps between runs, and who may use it."""

import fcntl
import json
from pathlib import Path
from typing import IO, Any

from host_tools.errors import UserError

FILE = "cards.json"


def locked(folder: Path) -> IO[str]:
    """The folder's lock, made if new; closing it gives it back. UserError when
    another emulator has it: two terminals on one storage would ruin it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "w", encoding="utf-8")  # noqa: SIM115 - held for life
    except OSError as error:
        raise UserError(f"{folder} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise UserError(f"{folder} is in use by another emulator") from None
    return lock


class CardMemories:
    """The cards put in so far, and what their chips remember, in ``cards.json``.

    Without ``folder`` nothing is read or written. UserError for a damaged file.
    """

    def __init__(self, deck: Any, folder: Path | None) -> None:
        self._deck = deck
        self._path = folder / FILE if folder is not None else None
        self._chips: dict[str, Any] = {}
        self._states: dict[str, Any] = {}
        if self._path is not None and self._path.exists():
            try:
                self._states = json.loads(self._path.read_text(encoding="utf-8"))
                for name in self._states:
                    self.chip(name)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(
                    f"{self._path}: not the cards' memories ({error}); remove the file"
                ) from None

    def chip(self, name: str) -> Any:
        """The deck's card of that name, with its memory. KeyError."""
        if name not in self._chips:
            chip = self._deck.cards[name].make_card()
            if name in self._states:
                chip.load_state(self._states[name])
            self._chips[name] = chip
        return self._chips[name]

    def write(self) -> None:
        """Keep what the chips remember."""
        if self._path is None or not self._chips:
            return
        self._states.update({name: chip.state() for name, chip in self._chips.items()})
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self._states), encoding="utf-8")
        part.replace(self._path)
