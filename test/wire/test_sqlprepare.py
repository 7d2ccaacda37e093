"""SQL's PREPARE with prepared_statements = "full": what differential.py cannot show."""
import re

import pytest

import harness
import wireclient
from console import Console
from test_plans import ADD, ALL, DROP, MAKE, errors, same
from test_prepared import error_of, kinds, prepare, run, sqlstate
from wireclient import SYNC, bind, describe_statement, execute, parse, query

FULL = {"prepared_statements": "full"}
TYPES = re.findall(r'^SQLTYPE\("([^"]+)"', open(harness.ROOT + "/router/sqltypes.def").read(), re.M)


def answers(wire, statements, width=60):
    """What each of the statements gets, as text; they are sent in pipelines."""
    got = []
    for first in range(0, len(statements), width):
        chunk = statements[first:first + width]
        wire.send(b"".join(query(sql) for sql in chunk))
        for sql in chunk:
            got.append((sql, [wireclient.render(kind, body) for kind, body in wire.read_ready()]))
    return got


def same_answers(pooler, postgres, statements):
    one = pooler(default_pool_size=1, workers=1, **FULL)
    with postgres.connect() as direct, one.connect() as wire:
        expected = answers(direct, statements)
        for had, wanted in zip(answers(wire, statements), expected):
            assert had == wanted
    return expected


def pinned(one):
    return {row["pinned"] for row in Console(one.console()).ask("SHOW CLIENTS") if row["database"] == harness.DATABASE}


def await_pinned(one, what):
    harness.wait_until(lambda: pinned(one) == what, what="pinned %r" % what)


def test_every_keyword_as_a_name(pooler, postgres):
    words = [row[0] for row in postgres.sql("SELECT word FROM pg_get_keywords()")]
    assert len(words) > 400
    expected = same_answers(pooler, postgres, [sql for word in words for sql in ("PREPARE %s AS SELECT 1" % word, "EXECUTE %s" % word)])
    assert sum(answer[0].startswith("C ") for _, answer in expected) > 300


def test_every_type(pooler, postgres):
    assert len(TYPES) > 40
    statements = []
    for number, name in enumerate(TYPES):
        statements += ["PREPARE s%d (%s, %s[]) AS SELECT pg_typeof($1), pg_typeof($2)" % (number, name.upper(), name), "EXECUTE s%d(NULL, NULL)" % number]
    expected = same_answers(pooler, postgres, statements)
    assert all(not line.startswith("E ") for _, answer in expected for line in answer)


@pytest.mark.pgring_only
def test_it_keeps_no_server(pooler):
    """Two clients with the same names take turns on one server, and each executes its own."""
    one = pooler(default_pool_size=1, workers=1, **FULL)
    first, second = one.connect(), one.connect()
    first.ask("PREPARE s (int) AS SELECT $1 + 100")
    second.ask("PREPARE s (int) AS SELECT $1 + 200")
    second.ask("PREPARE t AS SELECT 't'")
    for i in range(5):
        assert first.one("EXECUTE s(%d)" % i) == str(100 + i)
        assert second.one("EXECUTE s(%d)" % i) == str(200 + i)
        assert run(first, "s", [str(i)]) == [[str(100 + i)]]
    await_pinned(one, {""})
    rows = [row for row in Console(one.console()).ask("SHOW CLIENTS") if row["database"] == harness.DATABASE]
    assert sorted(row["prepared_statements"] for row in rows) == ["1", "2"]
    names = [row[0] for row in first.ask("SELECT name FROM pg_prepared_statements")]
    assert len(names) == 3 and all(name.startswith("pgring_") for name in names)
    second.ask("DEALLOCATE ALL")
    with pytest.raises(wireclient.ServerError) as caught:
        second.ask("EXECUTE s(1)")
    assert caught.value.sqlstate == "26000" and "\"s\"" in str(caught.value)
    assert first.one("EXECUTE s(1)") == "101"
    second.close()
    first.ask("DEALLOCATE s")
    assert sqlstate(first, "s") == "26000"


@pytest.mark.pgring_only
@pytest.mark.parametrize("sql,call", (("PREPARE s (varchar(5)) AS SELECT $1", "EXECUTE s('kept')"),
                                      ("PREPARE s AS SELECT 'kept'; SELECT 1", "EXECUTE s"), ("SELECT 1; PREPARE s AS SELECT 'kept'", "EXECUTE s")))
def test_other_forms_keep_their_server(pooler, sql, call):
    one = pooler(default_pool_size=1, workers=1, **FULL)
    with one.connect() as wire:
        wire.ask(sql)
        assert wire.one(call) == "kept"
        await_pinned(one, {"prepare"})
        wire.ask("PREPARE t AS SELECT 'with it'")
        with pytest.raises(wireclient.ServerError) as caught:
            wire.ask("PREPARE s AS SELECT 1")
        assert caught.value.sqlstate == "42P05"
        wire.ask("DEALLOCATE ALL")
        await_pinned(one, {""})
        wire.ask("PREPARE s AS SELECT 'free'")
        assert wire.one("EXECUTE s") == "free"
        await_pinned(one, {""})


@pytest.mark.pgring_only
@pytest.mark.parametrize("mode", ("disabled", "extended", "extended_anonymous"))
def test_other_modes_keep_their_server(pooler, mode):
    one = pooler(default_pool_size=1, workers=1, prepared_statements=mode)
    with one.connect() as wire:
        wire.ask("PREPARE s AS SELECT 'kept'")
        await_pinned(one, {"prepare"})
        assert wire.one("EXECUTE s") == "kept"
        wire.ask("DEALLOCATE s")
        await_pinned(one, {""})


def test_tables_change(pooler, postgres):
    """What SQL prepared hears 0A000 as what the protocol prepared does, on both servers."""
    make = query("PREPARE s AS " + ALL)
    heard = same(pooler, postgres, [
        (0, "a", make), (1, "a", query("EXECUTE s")), (1, "b", make), (0, "b", query("EXECUTE s")), ADD, (0, "a", query("EXECUTE s")),
        (1, "a", query("EXECUTE s")), (0, "c", make), (0, "c", query("EXECUTE s")), (1, "c", query("EXECUTE s")), (1, "b", query("EXECUTE s")),
        (0, "a", query("DEALLOCATE s")), (1, "a", make), (0, "a", query("EXECUTE s")),
        (0, "a", parse("EXECUTE s", "n") + bind(name="n") + execute() + SYNC), (1, "a", bind(name="n") + execute() + SYNC)], **FULL)
    assert errors(heard) == ["0A000"] * 3


def test_a_settings_change_makes_another(pooler):
    one = pooler(default_pool_size=1, workers=1, **FULL)
    with one.connect() as wire:
        wire.ask("PREPARE s AS SELECT current_setting('search_path'), current_schema()")
        wire.ask("SET search_path = pg_catalog")
        assert wire.ask("EXECUTE s") == [["pg_catalog", "pg_catalog"]]


def test_a_name_is_the_clients_however_it_came(pooler):
    """In every mode: PREPARE of a name that the client has by the protocol."""
    for mode in ("extended", "extended_anonymous", "full"):
        one = pooler(default_pool_size=1, workers=1, prepared_statements=mode)
        with one.connect() as wire:
            prepare(wire, "s", "SELECT 'parsed'")
            for request in (query("PREPARE s AS SELECT 1"), query("PREPARE s (no, such) AS SELECT 1"), parse("PREPARE s AS SELECT 1") + bind() + execute() + SYNC,
                            parse("PREPARE s AS SELECT 1", "n") + bind(name="n") + execute() + SYNC, parse("SELECT 1", "s") + SYNC):
                wire.send(request)
                error = error_of(wire.read_ready())
                if "no, such" in request.decode():
                    assert error["C"] == "42704"
                else:
                    assert error["C"] == "42P05" and error["M"] == 'prepared statement "s" already exists'
            assert run(wire, "s") == [["parsed"]] and sqlstate(wire, "n") == "26000" and sqlstate(wire, "") == "26000"


def test_it_destroys_the_unnamed_statement(pooler):
    one = pooler(default_pool_size=1, workers=1, **FULL)
    with one.connect() as wire:
        prepare(wire, "", "SELECT 1")
        wire.ask("PREPARE s AS SELECT 2")
        assert sqlstate(wire, "") == "26000"


@pytest.mark.slow
def test_too_much_is_refused(pooler):
    one = pooler(default_pool_size=1, workers=1, **FULL)
    with one.connect() as wire:
        text = "x" * 1_500_000
        for number in range(60):
            wire.send(query("PREPARE s%d AS SELECT %d, length('%s')" % (number, number, text)))
            messages = wire.read_ready()
            if b"E" in kinds(messages):
                break
        assert error_of(messages)["C"] == "53200" and number > 30
        assert wire.ask("EXECUTE s7") == [["7", "1500000"]]
        wire.ask("DEALLOCATE ALL")
        wire.ask("PREPARE s7 AS SELECT 'again'")
        assert wire.one("EXECUTE s7") == "again"
