"""Malformed streams of clients get from pgring what PostgreSQL itself says to them: the same messages, the same SQLSTATEs, the same end.

A seed makes a stream (chaos.py): valid messages of which one or two have been changed. MALFORMED_SEEDS=1-20000 plays those instead
of the usual ones; one that fails is made small and printed. What docs/limits.md says to be different is masked here, each with its name.
"""
import os
import random
import time

import pytest

import chaos
import harness
import wireclient
from wireclient import SYNC, bind, describe_statement, execute, message, parse, query

pytestmark = pytest.mark.pgring_only

FIRST, LAST = (int(n) for n in os.environ.get("MALFORMED_SEEDS", "1-40").split("-"))
MOST = int(os.environ.get("MALFORMED_MOST", "1"))
WAYS = [("transaction", "extended"), ("transaction", "full"), ("session", "extended"), ("transaction", "extended_anonymous")]
END = SYNC + query("SELECT 'the end'")
LAST_ROW = b"\0\1\0\0\0\7the end"


@pytest.fixture(scope="module")
def ready(postgres):
    chaos.prepare(postgres)


def stream(seed):
    rng = random.Random("malformed %d" % seed)
    messages = [one for _ in range(rng.randint(1, 3)) for one in chaos.group(rng, (10, 3000))]
    for _ in range(rng.choice((1, 1, 2))):
        chaos.one_mutation(rng, messages)
    return messages


def play(wire, messages, quiet_s, count=0):
    """What comes, until nothing more does for a while; count: as many messages will come, or the end."""
    got = []
    wire.send(b"".join(messages) + END)
    try:
        while True:
            got.append(wire.read(10 if len(got) < count else quiet_s))
            if got[-1][0] == b"Z" and (b"D", LAST_ROW) in got[-4:]:
                break
    except wireclient.TimedOut:
        got.append((b"-", b"waits"))
    except wireclient.Closed:
        got.append((b"-", b"ended"))
    except wireclient.WireError as problem:
        got.append((b"-", repr(problem).encode()))
    wire.drop()
    return got


def directly(postgres, messages, quiet_s):
    """PostgreSQL may end a connection so that its last words are lost: the most of what it said."""
    best = []
    for _ in range(3):
        got = play(postgres.connect(), messages, quiet_s)
        best = got if len(got) > len(best) else best
        if got[-1] != (b"-", b"ended") or any(kind == b"E" and b"SFATAL" in body for kind, body in got):
            return got
    return best


def written(got):
    out = []
    for kind, body in got:
        if kind == b"E":
            fields = wireclient.error_fields(body)
            out.append("E %s %s" % (fields.get("S"), fields.get("C")))
        elif kind == b"-":
            out.append(body.decode())
        elif kind not in b"SNA":
            out.append(wireclient.render(kind, body)[:200])
    return out


class Sides:
    def __init__(self, pooler, postgres):
        self.postgres, self.poolers = postgres, {}
        for way in WAYS:
            self.poolers[way] = pooler(default_pool_size=2, pooler_mode=way[0], prepared_statements=way[1], log_connections=False, log_disconnections=False)

    def difference(self, way, messages, quiet_s=0.5):
        """None, or what is not the same."""
        self.postgres.sql("DROP TABLE IF EXISTS public.honest; TRUNCATE public.chaos_sink")
        expected = directly(self.postgres, messages, quiet_s)
        self.postgres.sql("DROP TABLE IF EXISTS public.honest; TRUNCATE public.chaos_sink")
        one = self.poolers[way]
        got = play(wireclient.connect(one.address, harness.USER, harness.PASSWORD, harness.DATABASE), messages, 0.05, sum(kind != b"-" for kind, _ in expected))
        if written(expected) == written(got) or is_known(messages, written(expected), written(got)):
            return None
        at = next((i for i, (a, b) in enumerate(zip(written(expected), written(got))) if a != b), 0)
        return "PostgreSQL: %s\npgring: %s" % (written(expected)[max(0, at - 2):at + 5], written(got)[max(0, at - 2):at + 5])

    def shrunk(self, way, messages):
        again = True
        while again:
            again = False
            for i in reversed(range(len(messages))):
                smaller = messages[:i] + messages[i + 1:]
                if self.difference(way, smaller):
                    messages, again = smaller, True
                    break
        return messages


# Where a body is shorter than anything of its kind, pgring does not pass it on (protocol/messages.def).
LEAST = {b"B": 2, b"C": 2, b"D": 2, b"E": 5, b"F": 4, b"H": 0, b"P": 2, b"Q": 1, b"S": 0, b"X": 0, b"c": 0, b"d": 0, b"f": 0}
MOST_BYTES = {b"H": 0, **{kind: 9996 for kind in (b"C", b"D", b"E", b"S", b"X", b"c", b"f")}}


def has_bad_frame(data):
    """Whether pgring ends the session because of a frame in it."""
    at = 0
    while at + 5 <= len(data):
        kind, length = data[at:at + 1], int.from_bytes(data[at + 1:at + 5], "big", signed=True)
        if kind not in LEAST or not LEAST[kind] <= length - 4 <= MOST_BYTES.get(kind, 0x3ffffffa):
            return True
        at += 1 + length
    return 0 < len(data) - at < 5  # PostgreSQL looks at a type without its length


def is_known(messages, expected, got):
    """What docs/limits.md says to be different."""
    data = b"".join(messages) + END
    if got[-2:] == ["E FATAL 08P01", "ended"] and has_bad_frame(data):
        # At once, and also where PostgreSQL goes on after an ERROR, or does not look; but what came before it has been answered.
        return got[:-2] == expected[:len(got) - 2] or expected[:-1] == got[:len(expected) - 1]
    if got[-1:] == ["waits"] and has_bad_frame(data):
        return got[:-1] == expected[:len(got) - 1]
    if got[-2:-1] == ["E FATAL 08006"] and got[:-2] == expected[:len(got) - 2]:
        return any(line.startswith("G ") for line in expected)  # a COPY that failed behind a Sync
    if got[-1:] == ["ended"] == expected[-1:] and b"X\0\0\0" in data:
        return got[:-1] == expected[:len(got) - 1] or expected[:-1] == got[:len(expected) - 1]  # what a Terminate finds unanswered
    if any(theirs == "E ERROR 25P02" and ours == "1 ''" for theirs, ours in zip(expected, got)):
        return True  # an unnamed Parse that was not needed has not failed
    # A simple query that cannot be read has not destroyed the unnamed statement.
    return any(one[:1] == b"Q" and one[5:].find(b"\0") != len(one) - 6 for one in messages) and "E ERROR 26000" in got


@pytest.fixture
def sides(pooler, postgres, ready):
    return Sides(pooler, postgres)


FOUND = {  # by the test below
    "Close of a name without end": message(b"C", b"Sname"), "Describe of a name without end": message(b"D", b"Sname"),
    "Bind to a name without end": message(b"B", b"\0name"), "Parse of a name without end": message(b"P", b"name"),
    "Describe with more behind it": parse("SELECT 1", "v") + message(b"D", b"Sv\0more") + SYNC + describe_statement("v"),
    "Close with more behind it": parse("SELECT 1", "v") + message(b"C", b"Sv\0more") + SYNC + describe_statement("v"),
}


@pytest.mark.parametrize("what", FOUND)
def test_found(pooler, postgres, ready, what):
    expected = written(directly(postgres, [FOUND[what]], 10))
    for mode in ("extended", "full"):
        one = pooler(default_pool_size=1, prepared_statements=mode)
        got = written(play(wireclient.connect(one.address, harness.USER, harness.PASSWORD, harness.DATABASE), [FOUND[what]], 10))
        assert got == expected


def test_query_behind_a_sync_that_a_copy_swallows(pooler, ready):
    """PostgreSQL ends the session, and so does pgring, instead of keeping a client that waits for the answer to its Sync."""
    one = pooler(default_pool_size=1)
    for behind in (b"", SYNC):
        wire = one.connect()
        wire.send(parse("COPY public.chaos_sink FROM STDIN") + bind() + execute() + SYNC + query("SELECT 1") + behind)
        kinds = [kind for kind, _ in wire.read_to_end()]
        assert kinds[:3] == [b"1", b"2", b"G"] and kinds[3] == kinds[-1] == b"E", kinds


def test_malformed_streams(sides):
    reports = []
    for seed in range(FIRST, LAST + 1):
        way = WAYS[seed % len(WAYS)]
        messages = stream(seed)
        found = sides.difference(way, messages, 0.1)
        if found:  # PostgreSQL may have been slow
            found = sides.difference(way, messages, 3)
        if found:
            small = sides.shrunk(way, messages)
            report = "seed %d, %s: %s\n%s" % (seed, "-".join(way), [one[:80] + b"..." * (len(one) > 80) for one in small], sides.difference(way, small) or found)
            print(report, flush=True)
            reports.append(report)
            if len(reports) >= MOST:
                break
    assert not reports, "\n\n".join(reports)
