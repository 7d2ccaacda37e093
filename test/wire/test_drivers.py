"""Real programs and drivers: psql, pgbench, psycopg, asyncpg, and bulk data at size."""
import asyncio
import os
import random
import re
import shutil
import subprocess
import threading
import time

import pytest

import harness
import wireclient
from harness import DATABASE, PASSWORD, USER, database_row
from wireclient import COPY_DONE, copy_data, query

psycopg = pytest.importorskip("psycopg")
asyncpg = pytest.importorskip("asyncpg")

COPY_MB = int(os.environ.get("PGRING_TEST_COPY_MB", "64"))


def run(command, one, database=DATABASE, **more):
    environment = dict(os.environ, PGPASSWORD=PASSWORD, PGSSLMODE="disable", PSQLRC="/dev/null", PGCONNECT_TIMEOUT="60")
    return subprocess.run([harness.postgres_binary(command[0]), "-h", one.host, "-p", str(one.port), "-U", USER] + command[1:] + [database],
                          capture_output=True, text=True, env=environment, timeout=120, **more)


# ---- psql ------------------------------------------------------------------------------------------------------------

PSQL_SCRIPT = r"""
\set ON_ERROR_STOP 0
SELECT id, name FROM items ORDER BY id;
\d items
\dt
\df say
\x on
SELECT * FROM items WHERE id = 1;
\x off
BEGIN;
INSERT INTO lines (line) VALUES ('from psql');
SELECT 1/0;
SELECT 1;
ROLLBACK;
\copy pairs FROM STDIN
1	one
2	two
\.
SELECT * FROM pairs ORDER BY a;
\copy pairs TO STDOUT
COPY pairs TO STDOUT WITH (FORMAT csv);
SELECT 'a' AS a, 1 AS n \gset
SELECT :'a' || :n;
SELECT say('x');
\errverbose
SELECT $1::int + $2::int \bind 1 2 \g
SELECT g FROM generate_series(1, 3) g \crosstabview
\echo done
"""


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_psql(pooler, postgres, mode):
    """The same script, the same output as without a pooler."""
    one = pooler(pooler_mode=mode, default_pool_size=2)
    outputs = []
    for target in (harness.Direct(postgres), one):
        postgres.sql("SELECT wire_reset()")
        done = run(["psql", "-X", "-a", "-f", "-", "-d"], target, input=PSQL_SCRIPT)
        assert done.returncode == 0, done.stderr
        assert "done" in done.stdout
        outputs.append((done.stdout, done.stderr))
    assert outputs[0] == outputs[1]


def test_psql_list_of_databases_and_conninfo(pooler):
    one = pooler()
    done = run(["psql", "-X", "-c", r"\l", "-c", r"\conninfo", "-c", "SELECT current_user", "-d"], one)
    assert done.returncode == 0 and USER in done.stdout, done.stderr


def test_psql_wrong_password(pooler):
    one = pooler()
    environment = dict(os.environ, PGPASSWORD="wrong", PGSSLMODE="disable")
    done = subprocess.run([harness.postgres_binary("psql"), "-X", "-h", one.host, "-p", str(one.port), "-U", USER, "-d", DATABASE, "-c", "SELECT 1"],
                          capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 2 and "FATAL" in done.stderr


def test_psql_prefers_tls_and_goes_on_without(pooler):
    one = pooler()
    environment = dict(os.environ, PGPASSWORD=PASSWORD, PGSSLMODE="prefer", PGGSSENCMODE="prefer")
    done = subprocess.run([harness.postgres_binary("psql"), "-X", "-At", "-h", one.host, "-p", str(one.port), "-U", USER, "-d", DATABASE, "-c", "SELECT 42"],
                          capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.strip() == "42", done.stderr


@pytest.mark.skipif(not shutil.which("pg_dump"), reason="no pg_dump")
def test_pg_dump(pooler, postgres):
    """A client that uses everything: long transactions, SET, cursors, COPY."""
    postgres.sql("SELECT wire_reset()")
    one = pooler(pooler_mode="session", default_pool_size=4)
    dumps = []
    for target in (harness.Direct(postgres), one):
        done = run(["pg_dump", "--no-comments", "-d"], target)
        assert done.returncode == 0, done.stderr
        dumps.append(re.sub(r"\\(un)?restrict .*", "", done.stdout))
    assert "COPY public.items" in dumps[0] and dumps[0] == dumps[1]


# ---- pgbench ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(postgres):
    postgres.sql("CREATE DATABASE bench OWNER %s" % USER, "postgres")
    with postgres.connect(database="bench") as admin:
        admin.ask("SELECT 1")
    direct = harness.Direct(postgres)
    done = run(["pgbench", "-i", "-q", "-s", "1"], direct, "bench")
    assert done.returncode == 0, done.stderr
    yield [database_row(postgres, database_name="bench")]
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'bench'", "postgres")
    postgres.sql("DROP DATABASE bench", "postgres")


@pytest.mark.parametrize("protocol, mode", (("simple", "transaction"), ("extended", "transaction"), ("prepared", "session"), ("simple", "session")))
@pytest.mark.parametrize("script", ("select-only", "tpcb-like"))
def test_pgbench(pooler, postgres, bench, protocol, mode, script):
    clients, transactions = (16, 100) if mode == "transaction" else (4, 200)
    one = pooler(pooler_mode=mode, default_pool_size=4, databases=bench)
    with wireclient.connect(postgres.socket_path, harness.SUPERUSER, None, "bench") as admin:
        before = int(admin.one("SELECT count(*) FROM pgbench_history"))
        done = run(["pgbench", "-n", "-b", script, "-M", protocol, "-c", str(clients), "-j", "2", "-t", str(transactions)], one)
        assert done.returncode == 0, done.stderr
        assert re.search(r"number of transactions actually processed: %d/%d" % (clients * transactions, clients * transactions), done.stdout), done.stdout
        assert "number of failed transactions: 0 " in done.stdout
        sums = admin.ask("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches), "
                         "(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT coalesce(sum(delta), 0) FROM pgbench_history), (SELECT count(*) FROM pgbench_history)")[0]
        assert len(set(sums[:4])) == 1, "the books do not balance: %s" % sums
        assert int(sums[4]) - before == (clients * transactions if script == "tpcb-like" else 0)


def test_pgbench_connects_for_each_transaction(pooler, bench):
    one = pooler(default_pool_size=4, databases=bench)
    done = run(["pgbench", "-n", "-S", "-C", "-c", "8", "-j", "2", "-t", "20"], one)
    assert done.returncode == 0 and "actually processed: 160/160" in done.stdout, done.stderr


PIPELINE_SCRIPT = r"""
\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = 1;
SELECT abalance FROM pgbench_accounts WHERE aid = 2;
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 0 WHERE aid = 3;
COMMIT;
\endpipeline
"""


def test_pgbench_pipeline(pooler, bench):
    one = pooler(default_pool_size=3, databases=bench)
    path = one.directory.write("pipeline.sql", PIPELINE_SCRIPT)
    done = run(["pgbench", "-n", "-f", path, "-M", "extended", "-c", "8", "-j", "2", "-t", "50"], one)
    assert done.returncode == 0 and "actually processed: 400/400" in done.stdout, done.stderr
    assert "number of failed transactions: 0 " in done.stdout


# ---- psycopg ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_psycopg(pooler, postgres, mode):
    postgres.sql("SELECT wire_reset()")
    one = pooler(pooler_mode=mode, default_pool_size=2)
    with psycopg.connect(one.dsn(), prepare_threshold=None if mode == "transaction" else 2) as connection:
        for i in range(10):
            assert connection.execute("SELECT %s::int + 1, %s", (i, "x" * i)).fetchone() == (i + 1, "x" * i)
        connection.commit()
        assert connection.execute("SELECT id, tags FROM items ORDER BY id LIMIT 2").fetchall() == [(1, ["a", "b"]), (2, [])]
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        connection.rollback()
        with connection.transaction():
            connection.execute("INSERT INTO lines (line) VALUES (%s)", ("outer",))
            with pytest.raises(psycopg.errors.UniqueViolation):
                with connection.transaction():
                    connection.execute("INSERT INTO items VALUES (1, 'twice')")
            connection.execute("INSERT INTO lines (line) VALUES (%s)", ("after",))
        assert connection.execute("SELECT line FROM lines ORDER BY id").fetchall() == [("outer",), ("after",)]
        with connection.cursor("server_side") as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT g FROM generate_series(1, 100) g")
            assert [r[0] for r in cursor] == list(range(1, 101))
        with connection.cursor(binary=True) as cursor:
            assert cursor.execute("SELECT %s::bytea, %s::float8", (b"\0\1\2", 2.5)).fetchone() == (b"\0\1\2", 2.5)
            cursor.executemany("INSERT INTO pairs VALUES (%s, %s)", [(i, "many") for i in range(50)])
        with connection.cursor() as cursor:
            with cursor.copy("COPY pairs FROM STDIN") as copy:
                for i in range(1000):
                    copy.write_row((i, "copied"))
            assert cursor.execute("SELECT count(*) FROM pairs").fetchone() == (1050,)
            with cursor.copy("COPY (SELECT g FROM generate_series(1, 1000) g) TO STDOUT") as copy:
                assert sum(int(r[0]) for r in copy.rows()) == 500500
            with pytest.raises((ZeroDivisionError, psycopg.errors.QueryCanceled)):
                with cursor.copy("COPY pairs FROM STDIN") as copy:
                    copy.write_row((1, "never"))
                    raise ZeroDivisionError
        connection.rollback()
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int", (i,)) for i in range(100)]
            assert [c.fetchone()[0] for c in cursors] == list(range(100))
        notices = []
        connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
        connection.execute("SELECT say('psycopg')")
        assert notices == ["said psycopg"]
        assert connection.info.parameter_status("server_version")


def test_psycopg_pipeline_with_an_error(pooler):
    one = pooler(default_pool_size=1)
    with psycopg.connect(one.dsn(), prepare_threshold=None, autocommit=True) as connection:
        for _ in range(5):
            with pytest.raises(psycopg.errors.DivisionByZero):
                with connection.pipeline() as pipeline:
                    connection.execute("SELECT 1")
                    connection.execute("SELECT 1/0")
                    connection.execute("SELECT 2")
                    pipeline.sync()
                    connection.execute("SELECT 3")
            assert connection.execute("SELECT 4").fetchone() == (4,)


def test_psycopg_cancel(pooler, postgres):
    one = pooler()
    with psycopg.connect(one.dsn(), autocommit=True) as connection:
        cursor = connection.cursor()
        killer = threading.Thread(target=lambda: (postgres.await_active("psycopg_cancel"), connection.cancel()))
        killer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            cursor.execute("SELECT 'psycopg_cancel', pg_sleep(60)")
        killer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_psycopg_async(pooler, postgres):
    """60 tasks on a pool of 5, each with transactions whose result must hold."""
    postgres.sql("SELECT wire_reset()")
    postgres.sql("INSERT INTO pairs VALUES (0, 'counter')")
    one = pooler(default_pool_size=5)

    async def task(i):
        async with await psycopg.AsyncConnection.connect(one.dsn(), prepare_threshold=None) as connection:
            for k in range(10):
                async with connection.transaction():
                    await connection.execute("SELECT a FROM pairs WHERE b = 'counter' FOR UPDATE")
                    await connection.execute("UPDATE pairs SET a = a + 1 WHERE b = 'counter'")
                cursor = await connection.execute("SELECT %s::text, %s::int", ("task %d" % i, k))
                assert await cursor.fetchone() == ("task %d" % i, k)
                await connection.commit()

    async def main():
        await asyncio.wait_for(asyncio.gather(*(task(i) for i in range(60))), 120)

    asyncio.run(main())
    assert postgres.value("SELECT a FROM pairs WHERE b = 'counter'") == "600"


# ---- asyncpg ---------------------------------------------------------------------------------------------------------


def test_asyncpg(pooler, postgres):
    postgres.sql("SELECT wire_reset()")
    one = pooler(pooler_mode="session", default_pool_size=10)

    async def main():
        connection = await asyncpg.connect(host=one.host, port=one.port, user=USER, password=PASSWORD, database=DATABASE, ssl=False, statement_cache_size=0)
        try:
            assert await connection.fetchval("SELECT $1::int + 1", 41) == 42
            assert await connection.fetch("SELECT id, tags FROM items ORDER BY id LIMIT 1") == [(1, ["a", "b"])]
            with pytest.raises(asyncpg.DivisionByZeroError):
                await connection.fetch("SELECT 1/0")
            async with connection.transaction():
                await connection.executemany("INSERT INTO pairs VALUES ($1, $2)", [(i, str(i)) for i in range(100)])
                assert [r[0] async for r in connection.cursor("SELECT a FROM pairs ORDER BY a")] == list(range(100))
            await connection.copy_records_to_table("pairs", records=[(i, "copied") for i in range(1000)])
            assert await connection.fetchval("SELECT count(*) FROM pairs") == 1100
            heard = asyncio.Queue()
            await connection.add_listener("news", lambda *arguments: heard.put_nowait(arguments[3]))
            await connection.execute("NOTIFY news, 'hello'")
            assert await asyncio.wait_for(heard.get(), wireclient.PATIENCE_S) == "hello"
            statement = await connection.prepare("SELECT $1::text")
            assert await statement.fetchval("prepared") == "prepared"
            with pytest.raises(asyncio.TimeoutError):
                await connection.fetch("SELECT pg_sleep(60)", timeout=0.2)
            assert await connection.fetchval("SELECT 1") == 1
        finally:
            await connection.close()

        pool = await asyncpg.create_pool(host=one.host, port=one.port, user=USER, password=PASSWORD, database=DATABASE, ssl=False, min_size=5, max_size=8)

        async def work(i):
            async with pool.acquire() as mine:
                return await mine.fetchval("SELECT $1::int * 2", i)

        assert await asyncio.gather(*(work(i) for i in range(200))) == [i * 2 for i in range(200)]
        await pool.close()

    asyncio.run(asyncio.wait_for(main(), 120))


# ---- bulk ------------------------------------------------------------------------------------------------------------


def memory_is_meaningful():
    return not (harness.TARGET == "pgring" and harness.binary_is_sanitized())


@pytest.mark.parametrize("workers", (1, 2))
def test_copy_out_of_size(pooler, workers):
    """PGRING_TEST_COPY_MB megabytes (64; set 1024 for the full size), every byte counted, and the pooler's memory stays small."""
    one = pooler(workers=workers)
    wire = one.connect(timeout=120)
    wire.ask("SELECT 1")
    before = one.rss_kb()
    rows = COPY_MB * 1024 * 1024 // 1000
    wire.send(query("COPY (SELECT lpad(g::text, 999, '.') FROM generate_series(1, %d) g) TO STDOUT" % rows))
    count = size = most = 0
    while True:
        kind, body = wire.read()
        if kind == b"d":
            count += 1
            size += len(body)
            if count % 50000 == 0:
                most = max(most, one.rss_kb())
                assert body == str(count).rjust(999, ".").encode() + b"\n"
        elif kind == b"Z":
            break
        else:
            assert kind in b"HcC", wireclient.render(kind, body)
    assert (count, size) == (rows, rows * 1000)
    if memory_is_meaningful():
        assert most - before < 65536


def test_copy_in_of_size(pooler, postgres):
    postgres.sql("CREATE UNLOGGED TABLE IF NOT EXISTS bulk (a int, b text); TRUNCATE bulk; GRANT ALL ON bulk TO PUBLIC")
    one = pooler()
    wire = one.connect(timeout=120)
    wire.ask("SELECT 1")
    before = one.rss_kb()
    wire.send(query("COPY bulk FROM STDIN"))
    wire.read_until(b"G")
    rows, chunk = COPY_MB * 1024, 1024  # rows of about 1 KB, messages of about 1 MB
    for start in range(0, rows, chunk):
        wire.send(copy_data("".join("%d\t%s\n" % (i, "y" * 1015) for i in range(start, start + chunk))))
    most = one.rss_kb()
    wire.send(COPY_DONE)
    messages = wire.read_ready()
    assert messages[0] == (b"C", b"COPY %d\0" % rows)
    assert postgres.sql("SELECT count(*), sum(a), min(length(b)), max(length(b)) FROM bulk") == [[str(rows), str(rows * (rows - 1) // 2), "1015", "1015"]]
    if memory_is_meaningful():
        assert most - before < 65536
    postgres.sql("DROP TABLE bulk")


def test_bulk_beside_small_queries(pooler):
    """Bulk transfers of several clients and the small questions of others at the same time: all answers right, nobody starves."""
    one = pooler(default_pool_size=8)
    bulk = [one.connect(timeout=60) for _ in range(3)]
    small = [one.connect() for _ in range(4)]
    for wire in small:
        wire.ask("SELECT 1")
    for wire in bulk:
        wire.send(query("SELECT g, repeat('b', 2000) FROM generate_series(1, 10000) g"))
    longest, got = 0, [0] * len(bulk)
    chance = random.Random(5)
    began = time.monotonic()
    open_bulk = set(range(len(bulk)))
    while open_bulk and time.monotonic() - began < 120:
        for i in list(open_bulk):
            for _ in range(chance.randint(1, 500)):
                kind, body = bulk[i].read()
                if kind == b"D":
                    got[i] += 1
                elif kind == b"Z":
                    open_bulk.discard(i)
                    break
        asked = time.monotonic()
        wire = chance.choice(small)
        assert wire.one("SELECT 'small'") == "small"
        longest = max(longest, time.monotonic() - asked)
    assert got == [10000] * 3
    assert longest < harness.at_most(1)
