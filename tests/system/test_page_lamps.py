"""What the emulator's page shows of lamps and lets be heard of the buzzer, in a real Chromium."""

import os
from pathlib import Path

import pytest

from tests.support.at_the_page import CHROMIUM, Hands, play

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Debian's chromium is not installed"),
]

#: The lamps that are lit; and each tone that the page makes from now on, by its frequency.
LIT = (
    "names => JSON.stringify([...document.querySelectorAll('.lamps i.on')].map(i => i.id))"
    " === JSON.stringify(names.map(name => 'lamp-' + name))"
)
HEAR = """() => {
  const make = AudioContext.prototype.createOscillator;
  window.heard = [];
  AudioContext.prototype.createOscillator = function () {
    const tone = make.call(this), start = tone.start.bind(tone);
    tone.start = (when) => { window.heard.push(tone.frequency.value); start(when); };
    return tone;
  };
}"""


def test_lamps_are_seen_and_the_buzzer_is_heard(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.page.evaluate(HEAR)
        await hands.until(LIT, ["ready"])
        await hands.click("7", "7")  # with the first click the browser lets the page sound
        await hands.until("() => window.heard.length > 0")
        await hands.click("enter")
        await hands.screen("present_card")
        await hands.until(LIT, ["busy"])
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.click("1", "2", "3", "4", "enter")
        await hands.screen("question")
        await hands.until(LIT, ["ok"])
        await hands.until(
            "() => /^♪ [1-9][0-9]* Hz$/.test(document.getElementById('sound').textContent)"
        )
        tones = {tone for _, tone in hands.machine.rack.lamps.heard if tone}
        heard = await hands.page.evaluate("window.heard")
        assert len(set(heard)) > 1, "a key sounds otherwise than an approval"
        assert set(heard) <= tones
        await hands.page.click("#cut")
        await hands.until(LIT, [])

    play(tmp_path, story)
