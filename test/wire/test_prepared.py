"""Prepared statements that follow their client from server to server, next to neighbours that share its servers and change
everything they can."""
import asyncio
import os
import random
import threading

import pytest

import harness
import wireclient
from console import Console
from harness import wait_until
from wireclient import SYNC, bind, close_portal, close_statement, describe_statement, execute, parse, query

NUMBER = "SELECT $1::int + %d"


def kinds(messages):
    return b"".join(kind for kind, _ in messages)


def error_of(messages):
    return next(wireclient.error_fields(body) for kind, body in messages if kind == b"E")


def prepare(wire, name, sql):
    wire.send(parse(sql, name) + describe_statement(name) + SYNC)
    messages = wire.read_ready()
    assert b"E" not in kinds(messages), error_of(messages)
    return messages


def run(wire, name, values=()):
    wire.send(bind(values, name=name) + execute() + SYNC)
    messages = wire.read_ready()
    if b"E" in kinds(messages):
        raise wireclient.ServerError(error_of(messages))
    assert kinds(messages).replace(b"D", b"") == b"2CZ"
    return wire.rows(messages)


def sqlstate(wire, name):
    with pytest.raises(wireclient.ServerError) as caught:
        run(wire, name)
    return caught.value.sqlstate


def on_all_servers(one, count, what):
    """Calls `what` on as many connections at once as the pool has servers, so that each server has seen it."""
    wires = [one.connect() for _ in range(count)]
    for wire in wires:
        wire.ask("BEGIN")
    for wire in wires:
        what(wire)
    for wire in wires:
        wire.ask("COMMIT")
        wire.close()


@pytest.mark.parametrize("mode", ("extended", "extended_anonymous", "full"))
def test_statements_follow(pooler, mode):
    """Ten clients, two servers, the same names for other texts: each gets its own, wherever it comes."""
    one = pooler(default_pool_size=2, workers=1, prepared_statements=mode)
    wires = [one.connect() for _ in range(10)]
    for i, wire in enumerate(wires):
        prepare(wire, "s", NUMBER % (i * 1000))
        prepare(wire, "t", NUMBER % (i // 2 * 1000 + 500))
    chance = random.Random(1)
    servers, other = set(), one.connect()
    for turn in range(60):
        chosen = chance.sample(range(10), 5)
        if turn % 2:
            other.ask("BEGIN; SELECT 1")  # the server that was used last is not to be had
        for i in chosen:
            wires[i].send(bind([str(turn)], name="s") + execute() + bind([str(turn)], name="t") + execute() + SYNC)
        for i in chosen:
            assert wires[i].rows(wires[i].read_ready()) == [[str(turn + i * 1000)], [str(turn + i // 2 * 1000 + 500)]]
        servers.add(wires[chosen[0]].server_pid())
        if turn % 2:
            other.ask("COMMIT")
    assert len(servers) == 2


@pytest.mark.parametrize("mode", ("extended", "extended_anonymous"))
def test_unnamed_statements_are_a_sessions_own(pooler, mode):
    one = pooler(default_pool_size=1, workers=1, prepared_statements=mode)
    first, second, third = one.connect(), one.connect(), one.connect()
    first.send(parse("SELECT 'first'") + SYNC)
    first.read_ready()
    second.send(parse("SELECT 'second'") + SYNC)
    second.read_ready()
    for _ in range(3):
        for wire, text in ((first, "first"), (second, "second")):
            assert run(wire, "") == [[text]]
        assert sqlstate(third, "") == "26000"
        third.send(parse("SELEC") + SYNC)
        third.read_ready()
    first.ask("SELECT 1")
    assert sqlstate(first, "") == "26000"
    assert run(second, "") == [["second"]]


def test_names_are_nobody_elses(pooler):
    one = pooler(default_pool_size=1, workers=1)
    first, second = one.connect(), one.connect()
    prepare(first, "s", "SELECT 'first'")
    assert sqlstate(second, "s") == "26000"
    prepare(second, "s", "SELECT 'second'")
    second.send(close_statement("s") + SYNC)
    assert kinds(second.read_ready()) == b"3Z"
    assert sqlstate(second, "s") == "26000"
    assert run(first, "s") == [["first"]]
    names = [row[0] for row in first.ask("SELECT name FROM pg_prepared_statements")]
    assert names and all(name.startswith("pgring_") for name in names)
    for name in names:
        assert sqlstate(second, name) == "26000"
    assert second.one("SELECT 1") == "1"


def test_a_close_waits_for_no_server(pooler):
    """database/sql closes statements while it holds a lock that those want who have the servers."""
    one = pooler(default_pool_size=1, workers=1)
    first, second = one.connect(), one.connect()
    prepare(second, "s", "SELECT 'closed'")
    prepare(second, "t", "SELECT 'kept'")
    prepare(second, "", "SELECT 'unnamed'")
    first.ask("BEGIN")
    for closes in (b"", close_statement("s"), close_statement("s") + close_statement("never"), close_portal("p"), close_statement("")):
        second.send(closes + SYNC)
        assert kinds(second.read_ready()) == b"3" * (len(closes) > 0) + b"3" * closes.count(b"never") + b"Z"
    second.send(close_statement("s") + bind(name="t") + execute() + SYNC)
    first.ask("COMMIT")
    assert kinds(second.read_ready()) == b"32DCZ"
    assert sqlstate(second, "s") == "26000"
    assert sqlstate(second, "") == "26000"
    prepare(second, "s", "SELECT 'again'")
    assert run(second, "s") == [["again"]]
    second.send(b"C" + b"\0\0\0\6" + b"X\0" + SYNC)  # neither statement nor portal: PostgreSQL says what it thinks of it
    assert second.read_ready()[0][0] == b"E"


@pytest.mark.parametrize("destroyer", ("DEALLOCATE ALL", "DISCARD ALL"))
def test_who_deallocates_all_loses_only_the_own(pooler, destroyer):
    one = pooler(default_pool_size=1, workers=1)
    first, second = one.connect(), one.connect()
    prepare(first, "s", "SELECT 'shared'")
    prepare(second, "s", "SELECT 'shared'")
    second.ask(destroyer)
    assert sqlstate(second, "s") == "26000"
    assert run(first, "s") == [["shared"]]
    prepare(second, "s", "SELECT 'again'")
    assert run(second, "s") == [["again"]]


def test_who_deallocates_all_and_does_not_wait(pooler):
    """The server finishes what a client that is gone had asked for."""
    one = pooler(default_pool_size=1, workers=1)
    first = one.connect()
    prepare(first, "s", "SELECT 'kept'")
    for _ in range(30):
        gone = one.connect()
        gone.send(query("SELECT pg_sleep(0.01)") + query("DEALLOCATE ALL"))
        gone.drop()
        assert run(first, "s") == [["kept"]]


@pytest.mark.pgring_only
def test_shown_by_the_console(pooler):
    one = pooler(default_pool_size=1, workers=1)
    wire, idle = one.connect(), one.connect()
    for name in ("a", "b", "c"):
        prepare(wire, name, NUMBER % len(name))
    prepare(wire, "d", NUMBER % 7)
    console = Console(one.console())
    clients = [row["prepared_statements"] for row in console.ask("SHOW CLIENTS") if row["database"] == harness.DATABASE]
    assert sorted(clients) == ["0", "4"]
    assert [row["prepared_statements"] for row in console.ask("SHOW SERVERS") if row["database"] == harness.DATABASE] == ["2"]
    idle.close()


def test_after_a_change_of_the_table(pooler, postgres):
    """Who prepares afterwards never hears of the plan that was; who prepared before does, as on PostgreSQL."""
    one = pooler(default_pool_size=2, workers=1)
    postgres.sql("CREATE TABLE changing (a int); GRANT ALL ON changing TO PUBLIC; INSERT INTO changing VALUES (1)")
    try:
        before = one.connect()
        prepare(before, "s", "SELECT * FROM changing")
        on_all_servers(one, 2, lambda wire: (prepare(wire, "s", "SELECT * FROM changing"), run(wire, "s")))
        for column in ("b", "c", "d"):
            postgres.sql("ALTER TABLE changing ADD %s int DEFAULT 7" % column)
            for _ in range(3):
                after = one.connect()
                messages = prepare(after, "s", "SELECT * FROM changing")
                width = len(wireclient.row_description(dict(messages)[b"T"]))
                on_all_servers(one, 2, lambda wire: wire.ask("SELECT 1"))
                for _ in range(4):
                    assert len(run(after, "s")[0]) == width
                    on_all_servers(one, 2, lambda wire: (prepare(wire, "n", "SELECT * FROM changing"), run(wire, "n")))
                after.close()
        for _ in range(3):
            assert sqlstate(before, "s") == "0A000"
    finally:
        postgres.sql("DROP TABLE changing")


def test_a_change_that_is_rolled_back(pooler, postgres):
    one = pooler(default_pool_size=1, workers=1)
    postgres.sql("CREATE TABLE changing (a int); ALTER TABLE changing OWNER TO %s; INSERT INTO changing VALUES (1)" % harness.USER)
    try:
        first, second = one.connect(), one.connect()
        prepare(first, "s", "SELECT * FROM changing")
        second.ask("BEGIN")
        second.ask("ALTER TABLE changing ADD b int")
        prepare(second, "s", "SELECT * FROM changing")
        assert len(run(second, "s")[0]) == 2
        second.ask("ROLLBACK")
        assert run(first, "s") == [["1"]]
        assert sqlstate(second, "s") == "0A000"
    finally:
        postgres.sql("DROP TABLE changing")


def test_settings_make_another_statement(pooler, postgres):
    """The same text under another search_path, or with literals that a setting reads, is another statement."""
    one = pooler(default_pool_size=1, workers=1)
    postgres.sql("CREATE SCHEMA one_path; CREATE SCHEMA other_path; CREATE TABLE one_path.seen AS SELECT 1 AS a;"
                 "CREATE TABLE other_path.seen AS SELECT 'text' AS a, 'more' AS b; GRANT USAGE ON SCHEMA one_path, other_path TO PUBLIC;"
                 "GRANT SELECT ON one_path.seen, other_path.seen TO PUBLIC")
    try:
        a = one.connect(parameters=[("search_path", "one_path"), ("TimeZone", "UTC")])
        b = one.connect(parameters=[("search_path", "other_path"), ("TimeZone", "Asia/Tokyo")])
        for wire in (a, b):
            prepare(wire, "s", "SELECT * FROM seen")
            prepare(wire, "t", "SELECT extract(epoch FROM '2020-01-01 12:00'::timestamptz)::int")
        for _ in range(3):
            assert run(a, "s") == [["1"]] and run(b, "s") == [["text", "more"]]
            assert run(a, "t") == [["1577880000"]] and run(b, "t") == [["1577847600"]]
    finally:
        postgres.sql("DROP SCHEMA one_path, other_path CASCADE")


def test_what_is_parsed_under_a_changed_setting_stays_there(pooler):
    one = pooler(default_pool_size=1, workers=1)
    first, second = one.connect(), one.connect()
    text = "SELECT extract(epoch FROM '2020-01-01 12:00'::timestamptz)::int"
    first.ask("BEGIN")
    first.ask("SET LOCAL TimeZone = 'Asia/Tokyo'")
    prepare(first, "s", text)
    assert run(first, "s") == [["1577847600"]]
    first.ask("COMMIT")
    prepare(second, "s", text)
    assert run(second, "s") == [["1577880000"]]


def test_a_server_keeps_no_more_than_its_limit(pooler):
    one = pooler(default_pool_size=1, workers=1, prepared_statements_limit=5)
    first, second = one.connect(), one.connect()
    for i in range(40):
        prepare(first, "s%d" % i, NUMBER % i)
        prepare(second, "s%d" % i, NUMBER % (-i))
    count = lambda: int(second.one("SELECT count(*) FROM pg_prepared_statements"))
    assert count() <= 5
    first.send(b"".join(bind(["1"], name="s%d" % i) + execute() for i in range(40)) + SYNC)
    assert first.rows(first.read_ready()) == [[str(1 + i)] for i in range(40)]
    assert count() <= 5
    for i in range(0, 40, 7):  # an error in the middle of all that
        first.send(b"".join(bind(["1" if j != i else "x"], name="s%d" % j) + execute() for j in range(40)) + SYNC
                   + b"".join(bind(["2"], name="s%d" % j) + execute() for j in range(40)) + SYNC)
        messages = first.read_ready(2)
        assert error_of(messages)["C"] == "22P02"
        assert first.rows([m for m in messages if m[0] == b"D"]) == [[str(1 + j)] for j in range(i)] + [[str(2 + j)] for j in range(40)]
        assert run(second, "s%d" % i, ["0"]) == [[str(-i)]]
        assert count() <= 5 + 4


def test_statements_expire(pooler):
    one = pooler(default_pool_size=1, workers=1, prepared_statements_ttl=100, prepared_statements_ttl_jitter=0)
    wire = one.connect()
    prepare(wire, "s", "SELECT 1")
    born = lambda: wire.one("SELECT max(prepare_time) FROM pg_prepared_statements")
    first = born()
    wait_until(lambda: run(wire, "s") == [["1"]] and born() != first, 5, "a new statement")


def test_the_error_of_an_injected_parse_is_that_of_the_bind(pooler, postgres):
    one = pooler(default_pool_size=2, workers=1)
    postgres.sql("CREATE TABLE leaving (a int); GRANT ALL ON leaving TO PUBLIC")
    first, second = one.connect(), one.connect()
    second.ask("BEGIN")
    prepare(first, "s", "SELECT a FROM leaving")
    first.ask("BEGIN")
    second.ask("COMMIT")
    postgres.sql("DROP TABLE leaving")
    third = one.connect()
    first.ask("COMMIT")
    for wire in (first, third):
        wire.ask("SELECT 1")
    for _ in range(3):
        first.send(bind(name="s") + execute() + query("SELECT 'skipped'") + SYNC)
        messages = first.read_ready()
        assert kinds(messages) == b"EZ" and error_of(messages)["C"] == "42P01"
    assert first.one("SELECT 1") == "1"


# ---- bad input -------------------------------------------------------------------------------------------------------


def test_an_execute_after_an_error(pooler):
    one = pooler(default_pool_size=1, workers=1)
    wire = one.connect()
    prepare(wire, "s", "SELECT 1/g FROM generate_series($1::int, 9) g")
    for _ in range(3):
        wire.send(bind(["0"], name="s") + execute() + execute() + bind(["1"], name="s") + execute() + SYNC)
        messages = wire.read_ready()
        assert error_of(messages)["C"] == "22012" and kinds(messages) == b"2EZ"
        assert run(wire, "s", ["8"]) == [["0"], ["0"]]


def test_a_statement_of_ten_megabytes(pooler):
    one = pooler(default_pool_size=1, workers=1)
    wire, other = one.connect(), one.connect()
    prepare(wire, "large", "SELECT length('%s')" % ("x" * 10_000_000))
    assert run(wire, "large") == [["10000000"]]
    other.ask("DEALLOCATE ALL")
    assert run(wire, "large") == [["10000000"]]
    wire.send(parse("SELECT '%s'" % ("x" * 40_000_000), "larger") + execute() + SYNC)
    messages = wire.read_ready()
    assert kinds(messages) == b"EZ" and error_of(messages)["C"] == "53200"
    wire.close()
    assert other.one("SELECT 1") == "1"


def test_a_hundred_thousand_statements(pooler):
    """Of one client: all usable, and what the server keeps is bounded. Of many: what nobody uses is forgotten."""
    one = pooler(default_pool_size=1, workers=1)
    wire = one.connect()
    before = one.rss_kb()
    for first in range(0, 100_000, 1000):
        wire.send(b"".join(parse("SELECT %d" % i, "s%d" % i) for i in range(first, first + 1000)) + SYNC)
        assert kinds(wire.read_ready()) == b"1" * 1000 + b"Z"
    assert int(wire.one("SELECT count(*) FROM pg_prepared_statements")) <= 500
    chosen = range(0, 100_000, 777)
    wire.send(b"".join(bind(name="s%d" % i) + execute() for i in chosen) + SYNC)
    assert wire.rows(wire.read_ready()) == [[str(i)] for i in chosen]
    assert harness.SANITIZED or one.rss_kb() - before < 60_000
    wire.close()
    again = one.connect()
    for first in range(0, 20_000, 1000):
        again.send(b"".join(parse("SELECT -%d" % i, "s") + close_statement("s") for i in range(first, first + 1000)) + SYNC)
        assert kinds(again.read_ready()) == b"13" * 1000 + b"Z"
    assert harness.SANITIZED or one.rss_kb() - before < 60_000


@pytest.mark.parametrize("names", (b"s" * 3000, b"pgring_" * 20))
def test_long_names(pooler, names):
    one = pooler(default_pool_size=1, workers=1)
    wire, other = one.connect(), one.connect()
    name = names.decode()
    other.ask("BEGIN")  # what waits for a server takes another way
    wire.send(parse("SELECT 1", name) + bind(name=name) + execute() + SYNC + query("SELECT 2"))
    other.ask("COMMIT")
    messages = wire.read_ready(2)
    assert kinds(messages)[-4:] == b"TDCZ"
    if b"E" in kinds(messages):
        assert error_of(messages)["C"] == "54000"


# ---- drivers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ("extended", "extended_anonymous"))
def test_psycopg_prepares(pooler, mode):
    psycopg = pytest.importorskip("psycopg")
    one = pooler(default_pool_size=2, prepared_statements=mode)

    def work(number, problems):
        try:
            with psycopg.connect(one.dsn(), prepare_threshold=0) as connection:
                connection.prepared_max = 5
                for i in range(60):
                    row = connection.execute("SELECT %%s::int, '%d of %d'" % (i % 9, number), (i,)).fetchone()
                    assert row == (i, "%d of %d" % (i % 9, number))
                    connection.commit()
        except BaseException as problem:
            problems.append(problem)
            raise

    problems = []
    threads = [threading.Thread(target=work, args=(n, problems)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_asyncpg_caches_statements(pooler):
    asyncpg = pytest.importorskip("asyncpg")
    one = pooler(default_pool_size=2)

    async def work(pool, number):
        for i in range(50):
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT $1::int + %d" % (i % 7), number) == number + i % 7
                async with connection.transaction():
                    assert await connection.fetchval("SELECT $1::text || 'x'", str(i)) == "%dx" % i

    async def main():
        async with asyncpg.create_pool(host=one.host, port=one.port, user=harness.USER, password=harness.PASSWORD,
                                       database=harness.DATABASE, min_size=6, max_size=6, statement_cache_size=4) as pool:
            await asyncio.gather(*(work(pool, n) for n in range(6)))

    asyncio.run(main())


@pytest.mark.slow
def test_hostile_neighbours(pooler):
    """Half of the clients destroy what they can, the other half never notices."""
    one = pooler(default_pool_size=2, prepared_statements_limit=20)
    seconds = float(os.environ.get("PGRING_TEST_HOSTILE_S", "10"))
    problems, over = [], threading.Event()

    def steady(number):
        chance = random.Random(number)
        wire = one.connect()
        for i in range(15):
            prepare(wire, "s%d" % i, NUMBER % (number * 100 + i))
        while not over.is_set():
            i, value = chance.randrange(15), chance.randrange(1000)
            assert run(wire, "s%d" % i, [str(value)]) == [[str(value + number * 100 + i)]]

    def hostile(number):
        chance = random.Random(number)
        deeds = [lambda w: w.ask("DEALLOCATE ALL"), lambda w: w.ask("DISCARD ALL"), lambda w: w.send(parse("SELEC", "s1") + SYNC),
                 lambda w: w.send(parse("SELECT 'wrong'", "s1") + bind(name="nobody") + close_statement("s1") + SYNC),
                 lambda w: w.ask("PREPARE s2 AS SELECT 'wrong'"), lambda w: w.ask("SET search_path = pg_catalog"),
                 lambda w: w.ask("BEGIN"), lambda w: w.send(parse(NUMBER % 101, "x") + bind(["a"], name="x") + SYNC)]
        while not over.is_set():
            with one.connect() as wire:
                for _ in range(chance.randrange(6)):
                    try:
                        chance.choice(deeds)(wire)
                    except wireclient.WireError:
                        pass
                if chance.random() < 0.5:
                    wire.drop()

    def guarded(what, number):
        try:
            what(number)
        except BaseException as problem:
            problems.append("%s %d: %r" % (what.__name__, number, problem))
            over.set()

    threads = [threading.Thread(target=guarded, args=(what, n)) for n in range(5) for what in (steady, hostile)]
    for thread in threads:
        thread.start()
    over.wait(seconds)
    over.set()
    for thread in threads:
        thread.join()
    assert problems == []
