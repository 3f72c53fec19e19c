"""Shows screen trees on the panel and remembers what is shown."""

from firmware.text.texts import Texts
from firmware.ui import parts
from firmware.ui.draw import draw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.hal.display import Display
    from firmware.ui.tree import Screen


class View:
    """The one way to the display.

    ``screen`` is the tree shown last (None before the first), ``frame`` its
    pixels, ``language`` the catalogue in use, ``overflow`` what did not fit.
    """

    def __init__(self, display: "Display", texts: Texts) -> None:
        self.display = display
        self.texts = texts
        self.screen: "Screen | None" = None
        self.frame: bytes = b""
        self.overflow: "list[str]" = []
        #: Hears of each tree once it is on the panel: the debug link of an emulated terminal.
        self.on_screen: "Callable[[dict[str, Any]], None] | None" = None
        #: Called whenever another screen is on the panel; they must not raise.
        self.listeners: "list[Callable[[], None]]" = []

    @property
    def language(self) -> str:
        """ "en" or "zh"."""
        return self.texts.language

    def set_language(self, language: str) -> None:
        """Use another catalogue from the next screen on. DataFileError: there is none."""
        if language != self.texts.language:
            old, self.texts = self.texts, Texts(language)
            old.close()

    async def show(self, screen: "Screen") -> None:
        """Draw ``screen`` and bring the panel to it. DisplayError."""
        drawing = draw(screen, self.texts, self.display.width, self.display.height)
        self.screen = screen
        self.frame = bytes(drawing.frame)
        self.overflow = drawing.overflow
        await self.display.show(self.frame)
        if self.on_screen is not None:
            self.on_screen(self.tree())
        for listener in self.listeners:
            listener()

    def forget(self) -> None:
        """Let go of glyphs and texts, which are read again when they are needed."""
        self.texts.forget()
        parts.forget()

    async def refresh(self) -> None:
        """Draw the present screen again, in the language in use now."""
        if self.screen is not None:
            await self.show(self.screen)

    def tree(self) -> "dict[str, Any]":
        """The present screen with its words and their language, JSON-able and redacted."""
        tree: "dict[str, Any]" = {"screen": "", "nodes": []}
        if self.screen is not None:
            tree = self.screen.to_tree(self.texts)
        tree["language"] = self.language
        return tree
