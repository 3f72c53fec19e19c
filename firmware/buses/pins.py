"""Bus: general-purpose pins."""

IN = 0
IN_PULLUP = 1
OUT = 2


class Pins:
    """Pins by number, as the board names them."""

    def mode(self, pin: int, mode: int) -> None:
        """IN, IN_PULLUP or OUT."""
        raise NotImplementedError

    def write(self, pin: int, level: int) -> None:
        """Drive an output 0 or 1."""
        raise NotImplementedError

    def read(self, pin: int) -> int:
        """Level of a pin, 0 or 1."""
        raise NotImplementedError

    def pwm(self, pin: int, frequency: int, duty: int) -> None:
        """Square wave of ``frequency`` Hz with ``duty`` percent; duty 0 stops it."""
        raise NotImplementedError
