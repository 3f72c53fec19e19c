"""Bus: general-purpose pins."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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

    def plan(self, steps: "list[Step]") -> "Callable[[], list[int]]":
        """A function that does ``steps`` one after another and gives the levels
        that their reads saw.

        For what is done again and again; a bus that pays for each call may do
        the steps in one go.
        """
        return lambda: self._run(steps)

    def _run(self, steps: "list[Step]") -> "list[int]":
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
