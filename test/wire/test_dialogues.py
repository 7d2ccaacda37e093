"""Every dialogue, in every pool mode where it applies, cut into packets in several ways: the answers and what is left in the
database must be the same as without a pooler."""
import difflib
import hashlib
import random
import time

import pytest

import harness
import wireclient
from dialogues import ALL, DIALOGUES

BYTEWISE_MAX = 1200
GAP_S = 0.0003


class Target:
    """One pooler per mode with a single server connection, so that whatever one dialogue leaves behind meets the next.
    A failed dialogue gets a new one: the next shall not suffer for it."""

    def __init__(self, postgres, mode):
        self.postgres, self.mode, self.pooler = postgres, mode, None

    def connect(self):
        if self.pooler is None or (self.pooler.process is not None and not self.pooler.process.alive()):
            self.pooler = harness.POOLERS[harness.TARGET](self.postgres, general={
                "pooler_mode": self.mode, "default_pool_size": 1}).start()
        return wireclient.connect(self.pooler.address, harness.USER, harness.PASSWORD, harness.DATABASE)

    def finish(self):
        pooler, self.pooler = self.pooler, None
        if pooler is not None:
            pooler.finish()


@pytest.fixture(scope="module")
def targets(postgres):
    some = {mode: Target(postgres, mode) for mode in ALL}
    yield some
    for one in some.values():
        one.finish()


@pytest.fixture(scope="module")
def references(postgres):
    """name -> (answer, state): what PostgreSQL itself says."""
    known = {int(row[0]) for row in postgres.sql("SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace")}
    return {"known": known}


# ---- holding a dialogue ----------------------------------------------------------------------------------------------


def pieces_of(data, how, name):
    """The packets in which the bytes go out."""
    if how == "bytewise":
        return [data[i:i + 1] for i in range(len(data))]
    if how == "chunks":
        chance, at, pieces = random.Random(name), 0, []
        longest = max(64, len(data) // 200)
        while at < len(data):
            size = chance.randint(1, longest)
            pieces.append(data[at:at + size])
            at += size
        return pieces
    return [data]


def hold(dialogue, wire, postgres, how="steps", answer=None):
    """Returns the messages of the answer, or as many as came when it raises. how: steps (send, wait, send, ...), burst, chunks or
    bytewise (send all, then read)."""
    answer = [] if answer is None else answer
    read = wire.read
    wire.read = lambda timeout=None: answer.append(read(timeout)) or answer[-1]
    if how != "steps":
        for piece in pieces_of(dialogue.sent, how, dialogue.name):
            wire.send(piece)
            if how == "bytewise":
                time.sleep(GAP_S)
    for step in dialogue.steps:
        if step.kind == "send":
            if how == "steps":
                wire.send(step.value)
        elif step.kind == "until":
            wire.read_until(step.value, step.count)
        elif step.kind == "end":
            wire.read_to_end()
            answer.append((b"end", b""))
        elif step.kind == "active":
            postgres.await_active(step.value)
        elif step.kind == "cancel":
            assert wire.cancel() == b""
    if dialogue.steps[-1].kind != "end":
        wire.send(wireclient.TERMINATE)  # nothing more may come than was asked for
        wire.read_to_end()
        answer.append((b"end", b""))
    return answer


def condensed(messages):
    """Long runs of rows become one entry with their number and hash."""
    out, run, digest = [], 0, None
    for kind, body in messages + [(b"", b"")]:
        if kind in (b"D", b"d"):
            if not run:
                digest = hashlib.sha1()
            run += 1
            digest.update(kind + len(body).to_bytes(4, "big"))
            digest.update(body)
            continue
        if run:
            out.append((b"run", b"%d rows, sha1 %s" % (run, digest.hexdigest().encode())))
            run = 0
        if kind:
            out.append((kind, body))
    return out


def comparable(dialogue, messages, known):
    """The answer without what may differ (see Dialogue.compare)."""
    normalise = wireclient.Normaliser(known)
    out = [normalise(kind, body) for kind, body in (condensed(messages) if dialogue.bulk else messages)]
    if dialogue.compare != "exact":
        for i, (kind, body) in enumerate(out):
            if kind in (b"E", b"N"):
                fields = wireclient.error_fields(body)
                out[i] = kind, ("S%s\0C%s\0" % (fields.get("V", fields.get("S")), fields.get("C"))).encode()
                if dialogue.compare == "text":
                    out[i] = kind, out[i][1] + ("M%s\0P%s\0" % (fields.get("M"), fields.get("P"))).encode()
                out[i] = kind, out[i][1] + b"\0"
    return out


VIOLATION = (b"E", b"SFATAL\0C08P01\0\0")


def differences(expected, got):
    left = [wireclient.render(*m) for m in expected]
    right = [wireclient.render(*m) for m in got]
    return "\n".join(line[:400] for line in list(difflib.unified_diff(left, right, "PostgreSQL", "pooler", n=2, lineterm=""))[:60])


def compare(dialogue, expected, got, how):
    if dialogue.compare == "violation":
        if harness.TARGET == "pgring":
            assert VIOLATION in got, "%s: no FATAL 08P01 in\n%s" % (how, "\n".join(wireclient.render(*m) for m in got))
        expected, got = ([m for m in messages if m[0] != b"E" or b"C08P01" not in m[1]] for messages in (expected, got))
    if dialogue.compare == "refusal" and VIOLATION in got:
        at = got.index(VIOLATION)
        expected, got = expected[:at], got[:at] if got[at + 1:] == [(b"end", b"")] else got
    if expected != got:
        raise AssertionError("%s: the answers differ\n%s" % (how, differences(expected, got)))


def reference_of(dialogue, references, postgres):
    if dialogue.name not in references:
        postgres.sql("SELECT wire_reset()")
        with postgres.connect() as wire:
            answer = comparable(dialogue, hold(dialogue, wire, postgres), references["known"])
        references[dialogue.name] = answer, postgres.value("SELECT wire_state()")
    return references[dialogue.name]


def ways(dialogue):
    if not dialogue.pieces:
        return ["steps"]
    some = ["steps", "burst", "chunks"]
    if len(dialogue.sent) <= BYTEWISE_MAX:
        some.append("bytewise")
    return some


def parameters(wanted=lambda d: True):
    """Every dialogue in every mode in which it is promised."""
    return [pytest.param(mode, name, id="%s-%s" % (mode, name), marks=[pytest.mark.slow] if d.slow else [])
            for mode in ALL for name, d in DIALOGUES.items() if mode in d.modes and wanted(d)]


@pytest.mark.parametrize("mode, name", parameters())
def test_same_as_postgres(mode, name, targets, references, postgres):
    dialogue, target = DIALOGUES[name], targets[mode]
    expected, state = reference_of(dialogue, references, postgres)
    try:
        for how in ways(dialogue):
            postgres.sql("SELECT wire_reset()")
            wire = target.connect()
            answer = []
            try:
                hold(dialogue, wire, postgres, how, answer)
            except wireclient.Closed:
                answer.append((b"end", b""))
            except (wireclient.WireError, OSError) as problem:
                raise AssertionError("%s: %s: %s\n%s" % (how, type(problem).__name__, problem,
                                     differences(expected, comparable(dialogue, answer, references["known"]))))
            finally:
                wire.close()
            compare(dialogue, expected, comparable(dialogue, answer, references["known"]), how)
            left = postgres.value("SELECT wire_state()")
            assert left == state, "%s: the database is left different" % how
    except BaseException:
        log = target.pooler.log()[-3000:] if target.pooler and target.pooler.process else ""
        try:
            target.finish()
        except AssertionError as also:
            raise AssertionError("after the failure above, also: %s" % also)
        print("the pooler's log ends:\n" + log)
        raise


@pytest.mark.parametrize("mode, name", parameters(lambda d: d.split))
def test_cut_in_two_at_every_byte(mode, name, targets, references, postgres):
    """One connection, the same dialogue again and again, cut at another place each time."""
    dialogue, target = DIALOGUES[name], targets[mode]
    expected, _ = reference_of(dialogue, references, postgres)
    postgres.sql("SELECT wire_reset()")
    wire = target.connect()
    try:
        for cut in range(1, len(dialogue.sent)):
            wire.send(dialogue.sent[:cut])
            time.sleep(GAP_S)
            wire.send(dialogue.sent[cut:])
            got = []
            for step in dialogue.steps:
                if step.kind == "until":
                    got += wire.read_until(step.value, step.count)
            got.append((b"end", b""))
            compare(dialogue, expected, comparable(dialogue, got, references["known"]), "cut at byte %d" % cut)
    except BaseException:
        target.finish()
        raise
    finally:
        wire.close()
