"""Bus: general-purpose pins."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: ("mode", pin, mode), ("write", pin, level) or ("read", pin, 0).
    Step = tuple[str, int, int]

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

    def run(self, steps: "list[Step]") -> "list[int]":
        """Do ``steps`` one after another; the levels that their reads saw.

        A bus that pays for each call may do them in one go.
        """
        levels = []
        for what, pin, value in steps:
            if what == "mode":
                self.mode(pin, value)
            elif what == "write":
                self.write(pin, value)
            elif what == "read":
                levels.append(self.read(pin))
            else:
                raise ValueError("no pin step " + what)
        return levels
