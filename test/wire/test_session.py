"""Everything a session can do survives transaction pooling: every script of differential.py, and what only pgring promises."""
import difflib
import time

import pytest

import differential
import harness
import wireclient
from wireclient import query

SCRIPTS = differential.SCRIPTS


# ---- the same as on PostgreSQL, with hostile neighbours ----


@pytest.fixture(scope="module")
def fixture(postgres):
    postgres.sql(differential.FIXTURE)
    return {int(row[0]) for row in postgres.sql("SELECT oid FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'aside'::regnamespace)")}


@pytest.fixture(scope="module")
def shared(postgres, fixture):
    """A pool of two, and its neighbours, for each mode of prepared statements; a new one after a failure."""
    state = {}

    def end(mode):
        one, neighbours = state.pop(mode)
        neighbours.finish()
        one.finish()

    def get(mode, fresh):
        if fresh and mode in state:
            end(mode)
        if mode not in state:
            general = {"default_pool_size": 2, "prepared_statements": mode}
            one = harness.POOLERS[harness.TARGET](postgres, general=general).start()
            state[mode] = one, differential.Neighbours(lambda: connect(one.address))
        return state[mode]

    yield get
    for mode in list(state):
        end(mode)


def connect(address, parameters=()):
    wire = wireclient.Wire(address)
    wire.greeting = wire.login(harness.USER, harness.PASSWORD, harness.DATABASE, parameters)
    return wire


def play(script, address, neighbours=None):
    """The messages of each step."""
    for _ in range(50):
        answers = play_once(script, address, neighbours)
        if script.timeouts in (None, sum(kind == b"E" and b"C57014" in body for answer in answers for kind, body in answer)):
            break
    return answers


def play_once(script, address, neighbours):
    answers = []
    wire = connect(address, script.startup)
    answers.append([m for m in wire.greeting if m[0] == b"S"])
    for step in script.steps:
        if neighbours:
            neighbours.act()
        wire.send(step)
        answers.append(wire.read_ready(readies(step)))
    wire.send(wireclient.TERMINATE)
    answers.append(wire.read_to_end() + [(b"end", b"")])
    wire.drop()
    return answers


def readies(step):
    """How many ReadyForQuery a step gets: one for each Query, FunctionCall or Sync outside of COPY, and of what an error skips."""
    kinds, at = [], 0
    while at < len(step):
        kinds.append(step[at:at + 1])
        at += 1 + int.from_bytes(step[at + 1:at + 5], "big")
    if b"d" in kinds or (b"Q" in kinds and b"S" in kinds):
        return 1
    return kinds.count(b"Q") + kinds.count(b"F") + kinds.count(b"S")


def written(script, answers, known):
    """As text; what PostgreSQL reports together has no order of its own."""
    normalise, lines = wireclient.Normaliser(known), []
    for number, answer in enumerate(answers):
        lines.append("-- %s" % (script.steps[number - 1][:70] if 0 < number <= len(script.steps) else number))
        reports = []
        for kind, body in answer + [(b"", b"")]:
            if kind == b"S":
                reports.append(wireclient.render(kind, body))
                continue
            lines += sorted(reports)
            reports = []
            if kind:
                lines.append(wireclient.render(*normalise(kind, body)))
    return lines


BY_SQL = [name for name, script in SCRIPTS.items() if name.startswith("unnamed_") or any(b"PREPARE" in step or b"EXECUTE" in step for step in script.steps)]
assert len(BY_SQL) > 20


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(postgres, fixture, shared, name):
    same_as_directly(postgres, fixture, shared, name, "extended")


@pytest.mark.parametrize("name", BY_SQL)
def test_script_in_full(postgres, fixture, shared, name):
    """What SQL prepares is not left to its server, and statements without a name are parsed once."""
    same_as_directly(postgres, fixture, shared, name, "full")


def same_as_directly(postgres, fixture, shared, name, mode):
    script = SCRIPTS[name]
    postgres.sql(differential.BEFORE_EACH)
    direct = written(script, play(script, postgres.address), fixture)
    postgres.sql(differential.BEFORE_EACH)
    pooler, neighbours = shared(mode, False)
    try:
        through = written(script, play(script, pooler.address, neighbours), fixture)
        difference = "\n".join(difflib.unified_diff(direct, through, "PostgreSQL", harness.TARGET, lineterm="", n=4))
    except (wireclient.WireError, OSError) as problem:
        difference = repr(problem)
    if not difference:
        return
    shared(mode, True)
    if script.differs:
        pytest.xfail(script.differs)
    raise AssertionError("%s is not the same:\n%s" % (name, difference))
