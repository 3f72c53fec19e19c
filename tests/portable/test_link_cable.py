"""Both ends of the PC link together, over a pipe that loses."""

from firmware.link.delivery import PcEnd, TerminalEnd
from firmware.link.end import Parameters
from tests.portable.link_pipe import Cable, Dice, Way, records


def conversation(seed=1, **way):
    def small(kind):
        return lambda: kind(Parameters(256, 1024, 4, 2048))

    dice = Dice(seed)
    return Cable(
        records(dice, 6, 200), records(dice, 6, 200), small(PcEnd), small(TerminalEnd), seed, **way
    )


class Without:
    """Takes frames out of what passes, by their place in it."""

    def __init__(self, *places):
        self.places = places
        self.seen = 0

    def __call__(self, data):
        kept = b""
        for frame in data.split(b"\x00"):
            if frame:
                if self.seen not in self.places:
                    kept += b"\x00" + frame + b"\x00"
                self.seen += 1
        return kept


def test_nothing_lost():
    cable = conversation()
    cable.run(100)
    assert cable.pc.named() == cable.terminal.named() == ["live"]
    assert [sum(c.values()) for c in cable.counts()] == [0, 0]


def test_each_single_packet_lost():
    for way in (0, 1):
        place = 0
        while True:
            cable = conversation()
            lossy = Without(place)
            cable.ways[way].watch = lossy
            cable.run(1500)
            assert cable.pc.named() == cable.terminal.named() == ["live"]
            if lossy.seen <= place:
                break
            place += 1
        assert place > 8


def test_faults_of_every_kind():
    for number, fault in enumerate(("drop", "flip", "insert", "double", "cut", "stall")):
        cable = conversation(number, percent=15, faults=(fault,))
        cable.run(60000)
        assert cable.pc.named() == ["live"], fault


def test_a_slow_reader_stops_the_sender_and_then_gets_all():
    def small(kind):
        return lambda: kind(Parameters(256, 1024, 8, 4096))

    dice = Dice(4)
    cable = Cable(records(dice, 60, 60), [], small(PcEnd), small(TerminalEnd), 4, percent=5)
    cable.terminal.slow = True
    cable.run(40000, lambda: cable.now > 20000)
    assert cable.terminal.came == [] and cable.terminal.named() == ["live"]
    cable.terminal.slow = False
    cable.run(60000)


def test_the_pipe_moves_pieces_of_64():
    way = Way(Dice(1), delay_ms=2)
    assert way.write(bytes(130), 0)
    assert [len(piece) for _, piece in way.flying] == [64, 64, 2]
    assert way.due(1) == b"" and way.due(2) == bytes(130)
    way.stop_after = 140
    assert not way.write(bytes(64), 5)
    assert way.due(9) == bytes(10)
