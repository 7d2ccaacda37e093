"""asyncpg: its own statement cache, its introspection of types, its pool with the query it sends at each release."""
import asyncio
import datetime
import decimal

import asyncpg

from checks import CLIENTS, DATABASE, HOST, PASSWORD, PORT, ROUNDS, USER, all_tasks, equal, run

DSN = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "database": DATABASE, "ssl": False}
TABLE = "asyncpg_rows"


class connected:
    """async with connected() as connection"""

    def __init__(self, **more):
        self.more = {**DSN, **more}

    async def __aenter__(self):
        self.connection = await asyncpg.connect(**self.more)
        return self.connection

    async def __aexit__(self, *_):
        await self.connection.close(timeout=30)


class expect:
    """with expect(asyncpg.SomeError): ..."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        return self

    def __exit__(self, got, *_):
        if got is None:
            raise AssertionError("no %s" % self.kind.__name__)
        return issubclass(got, self.kind)


async def fresh_table():
    async with connected() as connection:
        await connection.execute("DROP TABLE IF EXISTS %s; CREATE TABLE %s (owner int, n int, word text, PRIMARY KEY (owner, n))" % (TABLE, TABLE))


async def types():
    values = [7, "zwölf", b"\0\xff", decimal.Decimal("1.50"), True, [1, 2, None], datetime.date(2024, 2, 29), '{"a": [1]}', None]
    async with connected() as connection:
        for _ in range(3):
            row = await connection.fetchrow("SELECT $1::int, $2::text, $3::bytea, $4::numeric, $5::bool, $6::int[], $7::date, $8::jsonb, $9::text", *values)
            equal(list(row), values)


async def workers():
    await fresh_table()

    async def work(number):
        async with connected() as connection:
            for n in range(ROUNDS):
                async with connection.transaction():
                    await connection.execute("INSERT INTO %s VALUES ($1, $2, $3)" % TABLE, number, n, "word %d" % n)
                    row = await connection.fetchrow("SELECT count(*), sum(n) FROM %s WHERE owner = $1" % TABLE, number)
                    equal(tuple(row), (n + 1, n * (n + 1) // 2))

    await all_tasks(work)
    async with connected() as connection:
        equal(await connection.fetchval("SELECT count(*) FROM " + TABLE), CLIENTS * ROUNDS)


async def without_a_statement_cache():
    async def work(number):
        async with connected(statement_cache_size=0) as connection:
            for n in range(ROUNDS):
                equal(await connection.fetchval("SELECT $1::int * 100 + $2::int", number, n), number * 100 + n)

    await all_tasks(work)


async def transactions():
    await fresh_table()
    async with connected() as one:
        async with one.transaction():
            await one.execute("INSERT INTO %s VALUES (1, 1, 'kept')" % TABLE)
            with expect(asyncpg.UniqueViolationError):
                async with one.transaction():
                    await one.execute("INSERT INTO %s VALUES (1, 2, 'undone')" % TABLE)
                    await one.execute("INSERT INTO %s VALUES (1, 1, 'twice')" % TABLE)
        rolled = one.transaction(isolation="serializable", readonly=True)
        await rolled.start()
        equal(await one.fetchval("SHOW transaction_isolation"), "serializable")
        with expect(asyncpg.ReadOnlySQLTransactionError):
            await one.execute("DELETE FROM " + TABLE)
        with expect(asyncpg.InFailedSQLTransactionError):
            await one.fetch("SELECT 1")
        await rolled.rollback()
        equal([tuple(row) for row in await one.fetch("SELECT n, word FROM " + TABLE)], [(1, "kept")])


async def errors():
    async with connected() as connection:
        for _ in range(3):
            with expect(asyncpg.DivisionByZeroError):
                await connection.fetchval("SELECT 1/$1::int", 0)
            with expect(asyncpg.PostgresSyntaxError):
                await connection.fetchval("SELEC 1")
            with expect(asyncpg.UndefinedTableError):
                await connection.fetchval("SELECT * FROM nowhere_to_be_found WHERE n = $1", 1)
            equal(await connection.fetchval("SELECT $1::int", 3), 3)


async def prepared_over_transactions():
    async def work(number):
        async with connected() as connection:
            mine = await connection.prepare("SELECT $1::int + %d, $2::text" % number)
            same = await connection.prepare("SELECT $1::int, $2::text || ' of all'")
            for n in range(ROUNDS):
                equal(tuple(await mine.fetchrow(n, "mine")), (number + n, "mine"))
                async with connection.transaction():
                    equal(tuple(await same.fetchrow(number, "word %d" % n)), (number, "word %d of all" % n))
                equal([a.type.name for a in mine.get_attributes()], ["int4", "text"])

    await all_tasks(work)


async def more_statements_than_kept():
    async def work(number):
        async with connected(statement_cache_size=5) as connection:
            for n in range(3 * ROUNDS):
                equal(await connection.fetchval("SELECT $1::int + %d" % (n % 13), number), number + n % 13)

    await all_tasks(work)


async def pool():
    """More tasks than connections, more connections than servers; the pool's release query each time."""
    async with asyncpg.create_pool(min_size=2, max_size=CLIENTS, **DSN) as clients:
        async def work(i):
            async with clients.acquire() as connection:
                equal(await connection.fetchval("SELECT coalesce(current_setting('app.who', true), '')"), "")
                await connection.execute("SET app.who = 'task %d'" % i)
                equal(await connection.fetchval("SELECT current_setting('app.who')"), "task %d" % i)
                equal(await connection.fetchval("SELECT $1::int * 2", i), i * 2)

        await asyncio.gather(*(work(i) for i in range(CLIENTS * ROUNDS)))


async def the_release_query():
    async with connected() as connection:
        for n in range(ROUNDS):
            await connection.reset()
            await connection.execute("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;")
            equal(await connection.fetchval("SELECT $1::int", n), n)


async def release_frees_a_lock():
    async with asyncpg.create_pool(min_size=1, max_size=1, **DSN) as clients, connected() as other:
        for _ in range(5):
            async with clients.acquire() as connection:
                await connection.execute("SELECT pg_advisory_lock(815)")
                equal(await other.fetchval("SELECT pg_try_advisory_lock(815)"), False)
            equal(await other.fetchval("SELECT pg_try_advisory_lock(815)"), True)
            equal(await other.fetchval("SELECT pg_advisory_unlock(815)"), True)


async def settings():
    async def work(number):
        async with connected(server_settings={"application_name": "client %d" % number, "app.born": str(number)}) as connection:
            await connection.execute("SET app.who = 'clients %d'" % number)
            await connection.fetchval("SELECT set_config('app.computed', $1, false)", "computed %d" % number)
            for n in range(ROUNDS):
                row = await connection.fetchrow("SELECT current_setting('app.born'), current_setting('app.who'), current_setting('app.computed'), "
                                                "current_setting('application_name')")
                equal(tuple(row), (str(number), "clients %d" % number, "computed %d" % number, "client %d" % number))

    await all_tasks(work)


async def introspection_of_types():
    """asyncpg asks the catalogue about types that it does not know, and switches jit off and on around it."""
    async with connected() as connection:
        await connection.execute("DROP TYPE IF EXISTS asyncpg_pair; DROP TYPE IF EXISTS asyncpg_mood; "
                                 "CREATE TYPE asyncpg_mood AS ENUM ('sad', 'glad'); CREATE TYPE asyncpg_pair AS (mood asyncpg_mood, n int)")

    async def work(number):
        async with connected(server_settings={"jit": "on" if number % 2 else "off"}) as connection:
            for _ in range(3):
                equal(await connection.fetchval("SELECT ROW('glad', $1)::asyncpg_pair", number), ("glad", number))
                equal(await connection.fetchval("SELECT $1::asyncpg_mood[]", ["sad", "glad"]), ["sad", "glad"])
            equal(await connection.fetchval("SHOW jit"), "on" if number % 2 else "off")

    await all_tasks(work)


async def a_table_changes():
    """Outside of a transaction asyncpg prepares anew after "cached plan must not change result type", and nobody notices."""
    async with connected() as connection, connected() as other:
        await connection.execute("DROP TABLE IF EXISTS asyncpg_change; CREATE TABLE asyncpg_change (n int); INSERT INTO asyncpg_change VALUES (1)")
        want = [1]
        for n in range(5):
            equal(list(await connection.fetchrow("SELECT * FROM asyncpg_change")), want)
            equal(list(await connection.fetchrow("SELECT * FROM asyncpg_change")), want)
            await other.execute("ALTER TABLE asyncpg_change ADD COLUMN c%d text DEFAULT 'new'" % n)
            want.append("new")
            equal(list(await other.fetchrow("SELECT * FROM asyncpg_change")), want)


async def cursors():
    async with connected() as connection:
        async with connection.transaction():
            equal([row[0] async for row in connection.cursor("SELECT g FROM generate_series(1, $1::int) g", 500, prefetch=7)], list(range(1, 501)))
            cursor = await connection.cursor("SELECT g FROM generate_series(1, 100) g")
            await cursor.forward(10)
            equal([row[0] for row in await cursor.fetch(3)], [11, 12, 13])


async def copy():
    await fresh_table()

    async def work(number):
        async with connected() as connection:
            await connection.copy_records_to_table(TABLE, records=[(number, i, "row %d" % i) for i in range(1000)])
            chunks = []

            async def take(data):
                chunks.append(data)

            await connection.copy_from_query("SELECT n, word FROM %s WHERE owner = $1 ORDER BY n" % TABLE, number, output=take)
            equal(b"".join(chunks).decode(), "".join("%d\trow %d\n" % (i, i) for i in range(1000)))
            with expect(asyncpg.UniqueViolationError):
                await connection.copy_records_to_table(TABLE, records=[(number, 1, "twice")])
            equal(await connection.fetchval("SELECT count(*) FROM %s WHERE owner = $1" % TABLE, number), 1000)

    await all_tasks(work)


async def executemany():
    await fresh_table()

    async def work(number):
        async with connected() as connection:
            await connection.executemany("INSERT INTO %s VALUES ($1, $2, $3)" % TABLE, [(number, i, str(i)) for i in range(300)])
            with expect(asyncpg.UniqueViolationError):
                await connection.executemany("INSERT INTO %s VALUES ($1, $2, $3)" % TABLE, [(number, 300, "undone"), (number, 1, "twice")])
            equal(await connection.fetchval("SELECT count(*) FROM %s WHERE owner = $1" % TABLE, number), 300)

    await all_tasks(work)


async def timeouts():
    """asyncpg sends a cancel request of its own and goes on with the connection."""
    async with connected() as connection:
        for n in range(3):
            with expect(asyncio.TimeoutError):
                await connection.fetch("SELECT pg_sleep(10)", timeout=0.5)
            equal(await connection.fetchval("SELECT $1::int", n), n)


async def notifications():
    async with connected() as listener, connected() as speaker:
        heard = asyncio.Queue()
        await listener.add_listener("asyncpg_news", lambda *arguments: heard.put_nowait(arguments[3]))
        for n in range(5):
            await speaker.execute("SELECT pg_notify('asyncpg_news', $1)", "number %d" % n)
        equal([await asyncio.wait_for(heard.get(), 30) for n in range(5)], ["number %d" % n for n in range(5)])


run(types, workers, without_a_statement_cache, transactions, errors, prepared_over_transactions, more_statements_than_kept, pool,
    the_release_query, release_frees_a_lock, settings, introspection_of_types, a_table_changes, cursors, copy, executemany, timeouts, notifications)
