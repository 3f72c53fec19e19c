"""Every power cut of a story, and every second one in the recovery, without telling
the story anew for each.

The story is told once. At each boundary of an event the process forks: the child
loses power there and goes on, the parent waits for it and does not. The child's own
recovery forks in the same way. What a cut left is compared with what others left
before: who finds the same on disk, at the bank, on screens and slips goes through
the same recovery and says nothing new.
"""

import asyncio
import gc
import os
import pickle
import traceback
from dataclasses import dataclass, field

from tests.support import cut_story, virtual_time
from tests.support.cut_story import Story
from tests.support.faulty_disk import KEPT, LOST, PowerCut
from tests.support.handheld import Handheld

#: Lines of a slip that the checks read; how far a print came changes no other.
_TELLING = ("VOUCHER NO", "APPROVED", "NOT CHARGED", "REVERSED", "DUPLICATE", "COPY", "CNY")
#: Fates of what was unsynced: all lost, all kept, drawn for each item.
FATES = {"lost": LOST, "kept": KEPT, "drawn": 2}
#: Under drawn fates one in so many second cuts is made.
THIN = 10


@dataclass
class Tally:
    """Cuts tried by depth, and what they left that nothing had left before."""

    cuts: list[int] = field(default_factory=lambda: [0, 0])
    seen: list[set[str]] = field(default_factory=lambda: [set(), set()])

    def add(self, other: "Tally") -> None:
        """What a child found besides."""
        for depth in (0, 1):
            self.cuts[depth] += other.cuts[depth]
            self.seen[depth] |= other.seen[depth]


class _Tree:
    """``depth``: cuts that struck on the way to this process."""

    def __init__(self, story: Story, fates: int, known: Tally) -> None:
        self.story = story
        self.fates = fates
        self.known = known
        self.found = Tally()
        self.depth = 0
        self.path: list[str] = []
        self.failure = ""
        self._pipe = -1
        self._boundary = 0
        #: Where the first cut fell.
        self._first = 0

    async def grow(self) -> Tally:
        """Tell the story; in a child this never returns."""
        t = Handheld(answer_timeout_ms=3_000)
        day = cut_story.Day(t, self.story, cut_story.Fates(self.fates), True)
        try:
            await cut_story.begin(t, self.story)
            t.disk.strike = lambda before: self._strike(t, day, before)
            step = day.sale
            while True:
                try:
                    await step()
                    break
                except PowerCut:
                    await self._struck(t, day)
                    step = day.recover
            t.disk.strike = lambda before: False
            if self.failure:
                raise AssertionError(self.failure)
            await cut_story.finish(t, day)
            if self.depth:
                self._report(self.found)
        except BaseException:
            if not self.depth:
                raise
            what = self.failure or traceback.format_exc()
            self._report(f"{self.story.name!r}, cuts {self.path}\n{what}")
        finally:
            if not self.depth:
                await t.power_off()
        return self.found

    def _strike(self, t: Handheld, day: "cut_story.Day", before: bool) -> bool:
        """At a boundary: the child has its power cut there, the parent goes on."""
        if self.depth == 2 or t.disk.dead or self.failure:
            return False
        self._boundary += 1
        if self.depth == 1 and self._skips():
            return False
        self.found.cuts[self.depth] += 1
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        if os.fork():
            os.close(writing)
            with open(reading, "rb") as answer:
                told = pickle.load(answer)
            os.wait()
            if isinstance(told, str):
                self.failure = told  # raised where no firmware catches it
            else:
                self.found.add(told)
                self.known.add(told)
            return False
        asyncio._set_running_loop(loop)  # which is noted by process
        os.close(reading)
        self._pipe = writing
        self._first = self._first or self._boundary
        self.path.append(f"{'before' if before else 'after'} {t.disk.log[-1:]} ({self._boundary})")
        self.depth += 1
        self.found = Tally()
        # Drawn fates differ from cut to cut.
        drawn = self.fates if self.fates in (LOST, KEPT) else self.fates + self._boundary
        day.fates = cut_story.Fates(drawn)
        day.patient = bool(self._boundary % 3)
        self._boundary = 0
        return True

    def _skips(self) -> bool:
        """Drawn fates leave hardly two states alike: of their second cuts one in
        ``THIN`` is made, spread over all of them."""
        return self.fates not in (LOST, KEPT) and (self._first + self._boundary) % THIN != 0

    async def _struck(self, t: Handheld, day: "cut_story.Day") -> None:
        await day.lose_power()
        left = self._left(t, day)
        depth = self.depth - 1
        if left in self.known.seen[depth]:
            self._report(self.found)
        self.known.seen[depth].add(left)
        self.found.seen[depth].add(left)

    @staticmethod
    def _left(t: Handheld, day: "cut_story.Day") -> str:
        """What the rest of the story and its checks depend on."""
        paper = [line for line in t.paper.splitlines() if any(word in line for word in _TELLING)]
        told = {
            (tree["screen"], *sorted(str(node.get("text")) for node in tree["nodes"]))
            for tree in day.told
            if tree["screen"] == "result"
        }
        return repr((day.state(), paper, sorted(told), day.patient, len(day.paper_ends)))

    def _report(self, what: "Tally | str") -> None:
        """Tell the parent and end; nothing of this process is unwound."""
        with open(self._pipe, "wb") as parent:
            pickle.dump(what, parent)
        os._exit(0)


def explore(story: Story, fates: int) -> Tally:
    """Cut ``story`` at each boundary of an event, and each new recovery at each event.
    AssertionError says where journal, bank and customer disagree."""
    gc.collect()
    gc.freeze()  # pages that the children need not copy
    try:
        return virtual_time.run(_Tree(story, fates, Tally()).grow())
    finally:
        gc.unfreeze()
