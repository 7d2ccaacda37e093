"""Random sessions (randomscripts.py) get through the pooler what PostgreSQL gives them, with hostile neighbours on the same servers.

A seed decides on its script, on the mode of prepared statements and on the number of cores. RANDOM_SEEDS=1-100000 plays those
instead of the usual ones; a seed that fails is made small, and its script printed. RANDOM_MOST says after how many failures to
stop (1), RANDOM_SHRINK=0 leaves the scripts as they are.
"""
import difflib
import os
import random
import time

import pytest

import differential
import harness
import randomscripts
import wireclient
from console import Console
from wireclient import query

FIRST, LAST = (int(n) for n in os.environ.get("RANDOM_SEEDS", "1-80").split("-"))
MOST = int(os.environ.get("RANDOM_MOST", "1"))
SHRINK_S = 90 if os.environ.get("RANDOM_SHRINK", "1") == "1" else 0
WAYS = [(mode, workers) for workers in (1, 4) for mode in ("extended", "full")]

# What sessions that never changed anything must see, each on a server of its own.
UNTOUCHED = query("BEGIN") + query("SELECT %s, current_user, name, (%s), (SELECT count(*) FROM pg_cursors WHERE is_holdable), (SELECT count(*) FROM "
                                   "pg_listening_channels()), (SELECT count(*) FROM pg_prepared_statements WHERE from_sql), (SELECT count(*) FROM pg_class WHERE "
                                   "relnamespace = pg_my_temp_schema()) FROM place" % (", ".join("current_setting('%s', true)" % name for name in
                                                                                                 randomscripts.VALUES if "." not in name), randomscripts.LOCKS))


# ---- playing ----


ENDS_OF = {b"P": b"1E", b"B": b"2E", b"D": b"TnE", b"E": b"CIsE", b"C": b"3E", b"S": b"Z", b"Q": b"Z", b"F": b"Z"}


class Session:
    """Reads as many messages as what was sent must get: one end for each request, none for what an error skips."""

    def __init__(self, address, startup=(), timeout=wireclient.PATIENCE_S):
        self.wire, self.skips, self.sent = wireclient.Wire(address, timeout=timeout), False, 0
        self.greeting = self.wire.login(harness.USER, harness.PASSWORD, harness.DATABASE, list(startup))

    def step(self, data, cut=None):
        at, answer = 0, []
        if cut:
            self.wire.send(data[:cut])
            time.sleep(0.0005)  # so that it may come in two pieces
        self.wire.send(data[cut or 0:])
        while at < len(data):
            kind = data[at:at + 1]
            at += 1 + int.from_bytes(data[at + 1:at + 5], "big")
            if kind not in ENDS_OF or self.skips and kind != b"S":
                continue
            answer += self.wire.read_until(ENDS_OF[kind])
            self.skips = kind in b"PBDEC" and answer[-1][0] == b"E"
        return answer


def play(script, address, between=lambda: None, timeout=wireclient.PATIENCE_S, notified=None):
    """The messages of each step; those that tell of notifications are the last step. notified: how many of them must come."""
    session, chance = Session(address, script.startup.items(), timeout), random.Random(-script.seed)
    wire = session.wire
    answers = [[m for m in session.greeting if m[0] == b"S"]]
    try:
        for number, step in enumerate(script.steps):
            between()
            data = b"".join(randomscripts.compiled(source) for source in step)
            if script.rude and number == len(script.steps) - 1:
                wire.send(data[:len(data) - script.seed % 3 * 5])
                return answers
            answers.append(session.step(data, chance.randrange(len(data)) if chance.random() < 0.2 else None))
        count = sum(kind == b"A" for answer in answers for kind, _ in answer)
        if notified is not None and count < notified:
            wire.send(query("ROLLBACK"))  # in a transaction, none is told
            more = wire.read_ready()
            more += wire.read_until(b"A", notified - count - sum(kind == b"A" for kind, _ in more))
            answers[-1] += [m for m in more if m[0] == b"A"]
        wire.send(wireclient.TERMINATE)
        answers.append(wire.read_to_end() + [(b"end", b"")])
    except (wireclient.Closed, wireclient.TimedOut) as problem:
        answers.append([(b"!", repr(problem).encode())])
    finally:
        wire.drop()
    return answers


FAILED = b"C25P02\0"


def rendered(normalise, kind, body, but):
    if kind in (b"E", b"N"):
        return wireclient.render(kind, b"\0".join(part for part in body.split(b"\0") if part[:1] not in but))
    return wireclient.render(*normalise(kind, body))


def masked(messages, is_full):
    """Without what docs/limits.md says to be different: messages is an answer, status what ReadyForQuery said before it."""
    out, batch, status = [], [], b""
    is_skipped = False
    for kind, body in messages:
        is_skipped |= kind == b"1" or kind == b"E" and FAILED in body
        if kind == b"E" and b"Mcached plan must not change" in body and batch and batch[-1][0] == b"t":
            batch.pop()
        if kind == b"E" and any(text in body for text in (b"Mbind message supplies", b"Mcached plan must not change") + (FAILED,) * (status == b"E")):
            body = b"Ma Bind that cannot be\0\0"  # which of its faults is told, and under which of its names the statement, may differ
        batch.append((kind, body))
        if kind in (b"Z", b"--"):
            if is_full and status == b"E" and is_skipped:
                batch = [(kind, body)]  # an unnamed Parse that was not needed has not failed
            out += batch
            batch, is_skipped, status = [], False, body if kind == b"Z" else status
    return out + batch


def written(script, answers):
    """As text. What PostgreSQL reports together has no order of its own; notifications may come later."""
    normalise, lines, notifications, reports = wireclient.Normaliser(), [], [], []
    # The place in PostgreSQL's source; and for an EXECUTE by the extended protocol see docs/limits.md.
    but = (b"F", b"L", b"R") + ((b"P",) if "EXECUTE" in script.source() and "parse" in script.source() else ())
    messages = [message for number, answer in enumerate(answers) for message in [(b"--", number)] + answer]
    for kind, body in masked([m for m in messages if m[0] != b"A"], way_of(script.seed)[0] == "full") + [(b"", b"")]:
        if kind == b"S":
            reports.append(wireclient.render(kind, body))
            continue
        lines += sorted(reports)
        reports = []
        if kind == b"--":
            lines.append("-- %s" % (" + ".join(script.steps[body - 1]) if 0 < body <= len(script.steps) else "the start" if body == 0 else "the end"))
        elif kind:
            lines.append(rendered(normalise, kind, body, but))
    notifications = [wireclient.render(*normalise(kind, body)) for kind, body in messages if kind == b"A"]
    return lines + ["-- notifications"] + notifications


# ---- comparing ----


class Direct:
    """What PostgreSQL itself says."""

    def __init__(self, postgres):
        self.postgres = postgres
        wire = Session(postgres.address).wire
        wire.send(UNTOUCHED)
        self.untouched = wireclient.Wire.rows(wire.read_ready(2))
        wire.close()

    def play(self, script, timeout=wireclient.PATIENCE_S):
        self.postgres.sql(randomscripts.BEFORE_EACH)
        answers = play(script, self.postgres.address, timeout=timeout)
        return answers, None if script.rude else self.postgres.value(randomscripts.AFTER)


class Through:
    """Poolers with their neighbours, one for each way; a new one after a failure."""

    def __init__(self, postgres, untouched):
        self.postgres, self.untouched, self.started = postgres, untouched, {}

    def pooler(self, way):
        if way not in self.started:
            general = {"default_pool_size": 2, "prepared_statements": way[0], "workers": way[1]}
            one = harness.POOLERS[harness.TARGET](self.postgres, general=general).start()
            self.started[way] = (one, differential.Neighbours(lambda: Session(one.address).wire),
                                 [Session(one.address).wire for _ in range(2)])
        return self.started[way]

    def end(self, way):
        if way in self.started:
            one, neighbours, quiet = self.started.pop(way)
            for wire in neighbours.staying + quiet:
                wire.drop()
            one.finish()

    def state(self, way):
        """For a report: what the pooler is at."""
        if harness.TARGET != "pgring":
            return ""
        asks = Console(self.started[way][0].console())
        return "\n".join("%s: %s" % (what, row) for what in ("SHOW CLIENTS", "SHOW SERVERS", "SHOW POOLS") for row in asks.ask(what))

    def play(self, script, way, notified):
        self.postgres.sql(randomscripts.BEFORE_EACH)
        one, neighbours, quiet = self.pooler(way)
        chance = random.Random(script.seed)

        def between():
            if chance.random() < 0.6:
                neighbours.act(chance.random() < 0.3)

        answers = play(script, one.address, between, notified=notified)
        for wire in quiet:
            wire.send(UNTOUCHED)
        seen = [wireclient.Wire.rows(wire.read_ready(2)) for wire in quiet]
        for wire in quiet:
            wire.ask("COMMIT")
        return answers, seen, None if script.rude else self.postgres.value(randomscripts.AFTER)


def way_of(seed):
    return WAYS[seed % len(WAYS)]


def difference(direct, through, script, timeout=wireclient.PATIENCE_S):
    """As text; "" if there is none, None if PostgreSQL itself does not answer."""
    try:
        answers, left = direct.play(script, timeout)
        if answers[-1][:1] and answers[-1][0][0] == b"!":
            raise wireclient.WireError(answers[-1])
    except (wireclient.WireError, OSError) as problem:
        assert timeout < wireclient.PATIENCE_S, "PostgreSQL does not answer seed %d: %r\n%s" % (script.seed, problem, script.source())
        return None
    expected = written(script, answers) + ["-- left", str(left)] + [str(direct.untouched)] * 2
    notified = sum(kind == b"A" for answer in answers for kind, _ in answer)
    way = way_of(script.seed)
    try:
        answers, untouched, also_left = through.play(script, way, notified)
    except (wireclient.WireError, OSError) as problem:
        report = "%r\n%s" % (problem, through.state(way))
        through.end(way)
        return report
    got = written(script, answers) + ["-- left", str(also_left)] + [str(seen) for seen in untouched]
    if expected == got:
        return ""
    through.end(way)
    return "\n".join(line[:300] for line in difflib.unified_diff(expected, got, "PostgreSQL", harness.TARGET, lineterm="", n=3))


def shrunk(script, differs, seconds):
    """The script with as few messages as possible that still differs."""
    deadline = time.monotonic() + seconds
    again = True
    while again:
        again = False
        places = [(i, None) for i in range(len(script.steps))] + [(i, j) for i, step in enumerate(script.steps) for j in range(len(step) - 1)]
        for i, j in reversed(places):
            if time.monotonic() > deadline:
                return script
            if i >= len(script.steps) or j is not None and j >= len(script.steps[i]) - 1:
                continue
            if j is None:
                steps = script.steps[:i] + script.steps[i + 1:]
            else:
                steps = script.steps[:i] + [script.steps[i][:j] + script.steps[i][j + 1:]] + script.steps[i + 1:]
            smaller = randomscripts.Script(script.seed, script.startup, steps, script.rude)
            if differs(smaller):
                script, again = smaller, True
    return script


def examined(direct, through, script, first):
    """A report of a script that has differed once, and whether it did again."""
    way = way_of(script.seed)
    report = "seed %d, prepared_statements %s, %d cores:\n" % ((script.seed,) + way)
    if not any(difference(direct, through, script) for _ in range(2)):
        return report + script.source() + "\nnot the same (alone it is: something before it matters, or chance)\n" + first, False
    small = shrunk(script, lambda one: difference(direct, through, one, 1.5), SHRINK_S)
    return report + small.source() + "\nnot the same:\n" + (difference(direct, through, small) or first), True


@pytest.fixture(scope="module")
def sides(postgres):
    postgres.sql(differential.FIXTURE)
    postgres.sql(randomscripts.FIXTURE)
    direct = Direct(postgres)
    through = Through(postgres, direct.untouched)
    yield direct, through
    for way in list(through.started):
        through.end(way)


@pytest.mark.parametrize("way", range(len(WAYS)), ids=["%s-%d" % way for way in WAYS])
def test_random_scripts(sides, way):
    direct, through = sides
    reports = []
    for seed in range(FIRST, LAST + 1):
        if seed % len(WAYS) != way:
            continue
        script = randomscripts.generated(seed)
        different = difference(direct, through, script)
        if different:
            report, again = examined(direct, through, script, different)
            print(report, flush=True)
            if again or "RANDOM_SEEDS" in os.environ:  # what does not come again tells nobody who did not ask for it
                reports.append(report)
            if len(reports) >= MOST:
                break
    assert not reports, "\n\n".join(reports)
