"""What a chip says when a transfer cannot be answered."""


class ChipError(Exception):
    """No acknowledge, no such operation, malformed request. Its text names the chip."""
