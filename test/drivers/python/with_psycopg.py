"""psycopg 3: sync, async, pipelines; it prepares a statement by itself after five executions."""
import asyncio
import datetime
import decimal
import threading

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from checks import CLIENTS, DATABASE, HOST, PASSWORD, PORT, ROUNDS, USER, all_clients, all_tasks, equal, raises, run

DSN = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "dbname": DATABASE, "sslmode": "disable"}
TABLE = "psycopg_rows"


def connect(**more):
    return psycopg.connect(**DSN, **more)


def connect_async(**more):
    return psycopg.AsyncConnection.connect(**DSN, **more)


def fresh_table():
    with connect(autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS " + TABLE)
        connection.execute("CREATE TABLE %s (owner int, n int, word text, PRIMARY KEY (owner, n))" % TABLE)


def types():
    values = (7, "zwölf", b"\0\xff", decimal.Decimal("1.50"), True, [1, 2, None], datetime.date(2024, 2, 29), Jsonb({"a": [1]}))
    with connect() as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            for prepare in (False, True):
                cursor.execute("SELECT %s::int, %s::text, %s::bytea, %s::numeric, %s::bool, %s::int[], %s::date, %s::jsonb, NULL", values, prepare=prepare)
                equal(cursor.fetchone(), (*values[:-1], {"a": [1]}, None))


def workers():
    fresh_table()

    def work(number):
        with connect() as connection:
            for n in range(ROUNDS):
                with connection.transaction():
                    connection.execute("INSERT INTO %s VALUES (%%s, %%s, %%s)" % TABLE, (number, n, "word %d" % n))
                    row = connection.execute("SELECT count(*), sum(n) FROM %s WHERE owner = %%s" % TABLE, (number,)).fetchone()
                    equal(row, (n + 1, n * (n + 1) // 2))

    all_clients(work)
    with connect() as connection:
        equal(connection.execute("SELECT count(*) FROM " + TABLE).fetchone(), (CLIENTS * ROUNDS,))


def transactions():
    fresh_table()
    with connect(autocommit=True) as one:
        with one.transaction():
            one.execute("INSERT INTO %s VALUES (1, 1, 'kept')" % TABLE)
            with raises_inside(psycopg.errors.UniqueViolation):
                with one.transaction():
                    one.execute("INSERT INTO %s VALUES (1, 2, 'undone')" % TABLE)
                    one.execute("INSERT INTO %s VALUES (1, 1, 'twice')" % TABLE)
        with one.transaction(force_rollback=True):
            one.execute("DELETE FROM " + TABLE)
        equal(one.execute("SELECT n, word FROM " + TABLE).fetchall(), [(1, "kept")])
    with connect() as two:
        raises(psycopg.errors.DivisionByZero, lambda: two.execute("SELECT 1/0"), "22012")
        raises(psycopg.errors.InFailedSqlTransaction, lambda: two.execute("SELECT 1"), "25P02")
        equal(two.info.transaction_status, psycopg.pq.TransactionStatus.INERROR)
        two.rollback()
        equal(two.execute("SELECT 1").fetchone(), (1,))
        two.rollback()
        two.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        equal(two.execute("SHOW transaction_isolation").fetchone(), ("serializable",))


def raises_inside(kind):
    class Expect:
        def __enter__(self):
            return self

        def __exit__(self, got, *_):
            if got is None:
                raise AssertionError("no %s" % (kind,))
            return issubclass(got, kind)
    return Expect()


def errors():
    with connect(autocommit=True) as connection:
        for statement, state in (("SELEC 1", "42601"), ("SELECT * FROM nowhere_to_be_found", "42P01"), ("SELECT 'x'::int", "22P02"),
                                 ("DO $$ BEGIN RAISE EXCEPTION 'ours' USING ERRCODE = 'P1234', DETAIL = 'more'; END $$", "P1234")):
            for prepare in (False, True):
                for _ in range(2):
                    raises(psycopg.Error, lambda: connection.execute(statement, prepare=prepare), state)
        equal(connection.execute("SELECT %s::int", (3,)).fetchone(), (3,))
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'look'; END $$")
        equal(notices, ["look"])


def prepared_over_transactions():
    def work(number):
        with connect() as connection:
            connection.prepare_threshold = 0
            for n in range(ROUNDS):
                cursor = connection.execute("SELECT %s::int * 1000 + %s::int AS both, %s::text", (number, n, "of %d" % number))
                equal(cursor.fetchone(), (number * 1000 + n, "of %d" % number))
                equal(connection.execute("SELECT %%s::int + %d" % n, (number,)).fetchone(), (number + n,))
                connection.commit()

    all_clients(work)


def more_statements_than_kept():
    def work(number):
        with connect(autocommit=True) as connection:
            connection.prepare_threshold, connection.prepared_max = 0, 5
            for n in range(3 * ROUNDS):
                which = n % 13
                equal(connection.execute("SELECT %%s::int + %d" % which, (number,)).fetchone(), (number + which,))

    all_clients(work)


def deallocate_all_is_ones_own():
    with connect(autocommit=True) as one, connect(autocommit=True) as two:
        one.prepare_threshold = two.prepare_threshold = 0
        for n in range(6):
            equal(one.execute("SELECT %s::int", (n,)).fetchone(), (n,))
            equal(two.execute("SELECT %s::int", (n,)).fetchone(), (n,))
            two.execute("DEALLOCATE ALL" if n % 2 else "DISCARD ALL")
            two._prepared.clear()


def settings():
    def work(number):
        with connect(application_name="client %d" % number, options="-c app.born=%d" % number) as connection:
            mine = "clients %d" % number
            connection.execute("SET app.who = %s" % sql.quote(mine))
            connection.execute("SELECT set_config('app.computed', %s, false)", (mine,))
            connection.execute("SET TimeZone = '%s'" % ("Asia/Tokyo" if number % 2 else "Europe/Berlin"))
            connection.commit()
            for n in range(ROUNDS):
                connection.execute("SET LOCAL work_mem = '%dkB'" % (1000 + number))
                equal(connection.execute("SELECT current_setting('work_mem')").fetchone(), ("%dkB" % (1000 + number),))
                if n % 3 == 0:
                    connection.execute("SET app.who = 'undone'")
                    connection.rollback()
                equal(connection.execute("SELECT current_setting('app.born'), current_setting('app.who'), current_setting('app.computed'), "
                                         "current_setting('application_name'), current_setting('TimeZone'), current_setting('work_mem') <> %s",
                                         ("%dkB" % (1000 + number),)).fetchone()[:5],
                      (str(number), mine, mine, "client %d" % number, "Asia/Tokyo" if number % 2 else "Europe/Berlin"))
                connection.commit()

    all_clients(work)


def a_setting_that_is_wrong():
    with connect(autocommit=True) as connection:
        raises(psycopg.Error, lambda: connection.execute("SET TimeZone = 'Nowhere/Town'"), "22023")
        raises(psycopg.Error, lambda: connection.execute("SET no_such_setting = 1"), "42704")
        connection.execute("SET extra_float_digits = 0")
        for _ in range(5):
            equal(connection.execute("SHOW extra_float_digits").fetchone(), ("0",))
        connection.execute("RESET ALL")
        for _ in range(5):
            equal(connection.execute("SHOW extra_float_digits").fetchone(), ("1",))


def copy():
    fresh_table()

    def work(number):
        with connect() as connection:
            for n in range(3):
                with connection.cursor() as cursor:
                    with cursor.copy("COPY %s FROM STDIN" % TABLE) as into:
                        for i in range(500):
                            into.write_row((number, n * 500 + i, "tab\there %d" % i))
                connection.commit()
            with connection.cursor() as cursor:
                with cursor.copy("COPY (SELECT owner, n, word FROM %s WHERE owner = %d ORDER BY n) TO STDOUT (FORMAT binary)" % (TABLE, number)) as out:
                    out.set_types(["int4", "int4", "text"])
                    equal(list(out.rows()), [(number, i, "tab\there %d" % (i % 500)) for i in range(1500)])
            connection.rollback()
            with raises_inside((ZeroDivisionError, psycopg.errors.QueryCanceled)):  # the program's own error ends the COPY
                with connection.cursor().copy("COPY %s FROM STDIN" % TABLE) as into:
                    into.write_row((number, 5000, "undone"))
                    raise ZeroDivisionError
            connection.rollback()
            with raises_inside(psycopg.errors.UniqueViolation):
                with connection.cursor().copy("COPY %s FROM STDIN" % TABLE) as into:
                    into.write_row((number, 1, "twice"))
            connection.rollback()
            equal(connection.execute("SELECT count(*) FROM %s WHERE owner = %s" % (TABLE, number)).fetchone(), (1500,))

    all_clients(work)


def pipeline():
    fresh_table()

    def work(number):
        with connect(autocommit=True) as connection:
            for n in range(ROUNDS // 2):
                with connection.pipeline() as pipe:
                    cursors = [connection.execute("SELECT %s::int + %s::int", (number * 1000, i)) for i in range(20)]
                    pipe.sync()
                    connection.execute("INSERT INTO %s VALUES (%%s, %%s, 'piped')" % TABLE, (number, n))
                equal([cursor.fetchone()[0] for cursor in cursors], [number * 1000 + i for i in range(20)])
            cursor = connection.cursor()
            cursor.executemany("INSERT INTO %s VALUES (%%s, %%s, 'many')" % TABLE, [(number, 100 + i) for i in range(100)])
            equal(connection.execute("SELECT count(*) FROM %s WHERE owner = %s" % (TABLE, number)).fetchone(), (ROUNDS // 2 + 100,))

    all_clients(work)


def an_error_inside_a_pipeline():
    with connect(autocommit=True) as connection:
        for prepare in (False, True):
            with raises_inside(psycopg.errors.DivisionByZero):
                with connection.pipeline() as pipe:
                    before = connection.execute("SELECT 1", prepare=prepare)
                    pipe.sync()
                    connection.execute("SELECT 1/%s::int", (0,), prepare=prepare)
                    skipped = connection.execute("SELECT 2", prepare=prepare)
                    pipe.sync()
                    equal(before.fetchone(), (1,))
                    raises(psycopg.errors.PipelineAborted, skipped.fetchone)
            equal(connection.execute("SELECT 3").fetchone(), (3,))


def cursors():
    with connect() as connection:
        with connection.cursor("mine") as cursor:
            cursor.execute("SELECT g FROM generate_series(1, 1000) g")
            equal([row[0] for row in cursor.fetchmany(10)], list(range(1, 11)))
            cursor.scroll(980)
            equal([row[0] for row in cursor], list(range(991, 1001)))
        rows = connection.cursor().stream("SELECT g, repeat('x', 1000) FROM generate_series(1, 3000) g")
        equal(sum(row[0] for row in rows), 3000 * 3001 // 2)


def a_cursor_with_hold():
    with connect(autocommit=True) as connection:
        with connection.cursor("held", withhold=True) as cursor:
            cursor.execute("SELECT g FROM generate_series(1, 100) g")
            equal([row[0] for row in cursor.fetchmany(10)], list(range(1, 11)))
            equal(connection.execute("SELECT 'between'").fetchone(), ("between",))
            equal([row[0] for row in cursor], list(range(11, 101)))


def a_temporary_table():
    with connect(autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE psycopg_temporary (n int)")
        for n in range(ROUNDS):
            connection.execute("INSERT INTO psycopg_temporary VALUES (%s)", (n,))
        equal(connection.execute("SELECT count(*) FROM psycopg_temporary").fetchone(), (ROUNDS,))


def advisory_locks():
    with connect(autocommit=True) as one, connect(autocommit=True) as two:
        for _ in range(5):
            equal(one.execute("SELECT pg_advisory_lock(4711), 1").fetchone()[1], 1)
            for _ in range(3):
                equal(two.execute("SELECT pg_try_advisory_lock(4711)").fetchone(), (False,))
            equal(one.execute("SELECT pg_advisory_unlock(4711)").fetchone(), (True,))
            equal(two.execute("SELECT pg_try_advisory_lock(4711)").fetchone(), (True,))
            equal(two.execute("SELECT pg_advisory_unlock(4711)").fetchone(), (True,))


def cancel():
    with connect(autocommit=True) as connection:
        for n in range(3):
            timer = threading.Timer(0.5, connection.cancel)
            timer.start()
            raises(psycopg.errors.QueryCanceled, lambda: connection.execute("SELECT pg_sleep(10)"), "57014")
            timer.join()
            equal(connection.execute("SELECT %s::int", (n,)).fetchone(), (n,))


async def async_workers():
    async def work(number):
        async with await connect_async() as connection:
            for n in range(ROUNDS):
                async with connection.transaction():
                    cursor = await connection.execute("SELECT %s::int, %s::text", (n, "task %d" % number))
                    equal(await cursor.fetchone(), (n, "task %d" % number))
                async with connection.pipeline():
                    cursors = [await connection.execute("SELECT %s::int", (number * 100 + i,)) for i in range(5)]
                equal([(await cursor.fetchone())[0] for cursor in cursors], [number * 100 + i for i in range(5)])
                await connection.rollback()

    await all_tasks(work)


async def notifications():
    async with await connect_async(autocommit=True) as listener, await connect_async(autocommit=True) as speaker:
        await listener.execute("LISTEN psycopg_news")
        got, notifies = [], listener.notifies()
        for n in range(5):
            await speaker.execute("SELECT pg_notify('psycopg_news', %s)", ("number %d" % n,))
            try:
                got.append((await asyncio.wait_for(notifies.__anext__(), 30)).payload)
            except asyncio.TimeoutError:
                break
        await notifies.aclose()
        equal(got, ["number %d" % n for n in range(5)])


run(types, workers, transactions, errors, prepared_over_transactions, more_statements_than_kept, deallocate_all_is_ones_own, settings,
    a_setting_that_is_wrong, copy, pipeline, an_error_inside_a_pipeline, cursors, a_cursor_with_hold, a_temporary_table, advisory_locks,
    cancel, async_workers, notifications)
