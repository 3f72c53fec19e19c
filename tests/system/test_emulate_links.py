"""``till emulate --board virtual-links``: sales while links come and go, by its interface."""

from tests.system.test_emulate import DO, run_command, till

#: A story has several sales, and resets of the modem.
LIMIT_S = 400
#: What each story begins with: the state of links by name, waits, one sale by its hands.
HANDS = (
    DO
    + """
def links():
    state = json.load(u.urlopen(url + 'state'))
    return {one['name']: one for one in state['links']}

def link_is(name, state):
    do(do='wait', link=name, state=state, seconds=120)

def counts():
    return {name: one['bytes'] for name, one in links().items()}

def link(name, condition):
    do(do='link', name=name, condition=condition)
    return counts()

def key_in(at_pin=counts):
    do(do='press', keys=['1', '00', 'enter'])
    do(do='wait', screen='present_card', seconds=30)
    do(do='insert', card='approve')
    do(do='wait', screen='pin', seconds=30)
    since = at_pin()
    do(do='press', keys=['1', '2', '3', '4', 'enter'])
    return since

def sold(count, at_pin=counts):
    since = key_in(at_pin)
    state = do(do='wait', screen='question', seconds=60)
    assert [row['state'] for row in state['ledger']] == ['approved'] * count, state['ledger']
    do(do='press', key='enter')
    do(do='wait', screen='remove_card', seconds=30)
    do(do='remove')
    do(do='wait', screen='idle', seconds=30)
    # Bytes that went through each link since the PIN, or since at_pin.
    return {name: count - since[name] for name, count in counts().items()}

"""
)


def story(code: str) -> None:
    words = "--board", "virtual-links", "--state", "signed-in"
    ended = run_command(HANDS + code, *words, limit_s=LIMIT_S)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


def test_a_sale_goes_on_over_the_next_link_and_over_none_without_any() -> None:
    story(
        """
link_is('cable', 'carries')
for name in ('cable', 'wifi', 'mobile'):
    link_is(name, 'up')  # all stand by
assert sold(1)['cable'] > 3000

# The cable is pulled while the PIN is keyed: no byte of the request had left.
went = sold(2, lambda: link('cable', 'unplugged'))
assert went['cable'] == 0 and went['wifi'] > 3000, went
link_is('wifi', 'carries')

# The access point goes as well: all of the next sale is in the modem's call.
went = sold(3, lambda: link('wifi', 'gone'))
assert went['cable'] == went['wifi'] == 0 and went['mobile'] > 3000, went
link_is('mobile', 'carries')

# Cut at the wire, the last one carries nothing either.
link('mobile', 'no_service')
assert do(do='remove')['network'] is False
key_in()
state = do(do='wait', screen='result', seconds=100)
assert len(state['ledger']) == 3, state['ledger']
do(do='press', key='enter')
do(do='remove')

link('cable', 'well')
link_is('cable', 'carries')
"""
    )


def test_a_call_that_dies_silently_is_found_and_made_anew() -> None:
    story(
        """
link_is('cable', 'carries')
link('wifi', 'gone')
link_is('mobile', 'up')
link('cable', 'unplugged')
link_is('mobile', 'carries')
link('mobile', 'silent')
link_is('mobile', 'down')
link_is('mobile', 'carries')
sold(1)
do(do='power_cut')
assert {one['state'] for one in links().values()} == {''}
do(do='power_on')
do(do='wait', screen='idle', seconds=60)
link_is('mobile', 'carries')
link('mobile', 'sim_pin')
link_is('mobile', 'sim_pin')
""",
    )


def test_the_doctor_names_each_link() -> None:
    ended = till("doctor", "virtual-links")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    for name in ("cable", "wifi", "mobile"):
        assert name in ended.stdout
