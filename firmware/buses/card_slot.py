"""Bus: raw contacts of one card slot."""


class CardSlot:
    """Carries command and response as the transmission protocol sees them."""

    async def present(self) -> bool:
        """Whether a card is in. Raises BusError when the slot is gone."""
        raise NotImplementedError

    async def power_on(self) -> "tuple[bytes, int]":
        """(ATR, protocol 0 or 1). BusError when the card is mute or absent."""
        raise NotImplementedError

    async def power_off(self) -> None:
        """Remove power."""
        raise NotImplementedError

    async def exchange(self, command: bytes) -> bytes:
        """One TPDU (T=0) or APDU (T=1, or a reader that does T=0 itself);
        response with SW1 SW2. BusError when the card does not answer."""
        raise NotImplementedError
