"""Tables change under prepared statements. Every script runs twice, directly on PostgreSQL and through a pool of two servers where
each step is led to the server that it names: what the clients hear, and what the tables hold in the end, is the same."""
import random

import pytest

import harness
import wireclient
from wireclient import SYNC, bind, close_statement, describe_portal, describe_statement, execute, parse, query

MAKE = ("CREATE TABLE changing (a int, b text); INSERT INTO changing VALUES (1, 'one'), (2, 'two'); CREATE SEQUENCE changing_seq;"
        "CREATE TABLE changing_log (n int);"
        "CREATE FUNCTION changing_write(int) RETURNS int LANGUAGE sql AS 'INSERT INTO changing_log VALUES ($1) RETURNING n';"
        "GRANT ALL ON changing, changing_log, changing_seq TO PUBLIC; ALTER TABLE changing OWNER TO %s" % harness.USER)
DROP = "DROP FUNCTION IF EXISTS changing_write; DROP TABLE IF EXISTS changing, changing_log; DROP SEQUENCE IF EXISTS changing_seq"
ADD = "ALTER TABLE changing ADD COLUMN c text DEFAULT 'see'"
TAKE = "ALTER TABLE changing DROP COLUMN c"
WIDEN = "ALTER TABLE changing ALTER COLUMN a TYPE bigint"
NARROW = "ALTER TABLE changing ALTER COLUMN a TYPE int"
TEXT = "ALTER TABLE changing ALTER COLUMN a TYPE text USING a::text"
REMAKE = ("DROP TABLE changing CASCADE; CREATE TABLE changing (a int, b text); INSERT INTO changing VALUES (1, 'one');"
          "GRANT ALL ON changing TO PUBLIC; ALTER TABLE changing OWNER TO %s" % harness.USER)
ALL = "SELECT * FROM changing ORDER BY 1"


def readable(kind, body):
    """What a client makes of a message; without what is the server's own affair."""
    if kind == b"E":
        fields = wireclient.error_fields(body)
        return "E", fields["C"], fields["M"], fields.get("P"), fields.get("R") if fields["C"] == "0A000" else None
    if kind == b"T":
        fields, at = [], 2
        for _ in range(int.from_bytes(body[:2], "big")):
            end = body.index(b"\0", at)
            fields.append((body[at:end], body[end + 7:end + 11], body[end + 13:end + 17], body[end + 17:end + 19]))
            at = end + 19
        return "T", tuple(fields)
    return kind.decode(), body


def told(messages):
    """PostgreSQL describes the parameters before it finds that it cannot describe the result; pgring does not."""
    return [m for m, following in zip(messages, messages[1:] + [None]) if m[0] != "t" or following[0] != "E"]


class Directly:
    """Clients on servers of their own."""

    def __init__(self, postgres):
        self.postgres, self.clients = postgres, {}

    def client(self, who):
        if who not in self.clients:
            self.clients[who] = self.postgres.connect()
        return self.clients[who]

    def led_to(self, server, who, what):
        return what(self.client(who))

    def close(self):
        for wire in self.clients.values():
            wire.close()


class Led(Directly):
    """Clients of a pool of two servers, both of which are held, but for the one that a client is led to."""

    def __init__(self, postgres, one):
        super().__init__(postgres)
        self.one, self.holders, self.free = one, [one.connect(), one.connect()], {}
        for holder in self.holders:
            holder.ask("BEGIN; SELECT 1")
        self.pids = [holder.one("SELECT pg_backend_pid()") for holder in self.holders]
        assert self.pids[0] != self.pids[1]

    def client(self, who):
        if who not in self.clients:
            self.clients[who] = self.one.connect()
        return self.clients[who]

    def led_to(self, server, who, what):
        wire = self.client(who)  # its login needs no server
        if who not in self.free:  # else it is inside of a transaction
            self.holders[server].ask("COMMIT")
            self.free[who] = server
        result = what(wire)
        if result[-1] == ("Z", b"I"):
            holder = self.holders[self.free.pop(who)]
            holder.ask("BEGIN; SELECT 1")
        return result

    def close(self):
        super().close()
        for holder in self.holders:
            holder.close()


def play(place, postgres, script):
    """The script's steps: (server, client, bytes that end with one ReadyForQuery), or SQL that somebody else executes."""
    postgres.sql(DROP)
    postgres.sql(MAKE)
    heard = []
    try:
        for step in script:
            if isinstance(step, str):
                postgres.sql(step)
                continue
            server, who, request = step

            def ask(wire):
                wire.send(request)
                return told([readable(kind, body) for kind, body in wire.read_ready()])

            heard.append((step, place.led_to(server, who, ask)))
        place.close()
        heard.append(("the table", [postgres.value("SELECT string_agg(x::text, ';' ORDER BY x::text) FROM changing x"),
                                    postgres.value("SELECT string_agg(n::text, ';' ORDER BY n) FROM changing_log"),
                                    postgres.value("SELECT last_value || ' ' || is_called FROM changing_seq")]))
    finally:
        place.close()
        postgres.end_sessions()
        postgres.sql(DROP)
    return heard


def same(pooler, postgres, script, **general):
    expected = play(Directly(postgres), postgres, script)
    one = pooler(default_pool_size=2, workers=1, **general)
    got = play(Led(postgres, one), postgres, script)
    for n, (wanted, had) in enumerate(zip(expected, got)):
        assert had == wanted, "step %d of %r" % (n, [step for step, _ in expected[:n + 1][-12:]])
    return expected


def errors(heard):
    return [message[1] for _, messages in heard[:-1] for message in messages if message[0] == "E"]


def prepare(name, sql):
    return parse(sql, name) + describe_statement(name) + SYNC


def run(name, *values):
    return bind(values, name=name) + execute() + SYNC


@pytest.mark.parametrize("server", (0, 1))
@pytest.mark.parametrize("described", (True, False))
def test_a_column_more(pooler, postgres, server, described):
    """Who prepared before hears 0A000 and goes on, again and again; who prepares afterwards has the new result at once."""
    first = prepare if described else lambda name, sql: parse(sql, name) + SYNC
    again = close_statement("s") + prepare("s", ALL)
    heard = same(pooler, postgres, [
        (0, "a", first("s", ALL)), (0, "a", run("s")), (1, "b", first("s", ALL)), (0, "b", run("s")), ADD,
        (server, "a", run("s")), (0, "c", prepare("s", ALL)), (0, "c", run("s")), (1, "c", run("s")), (server, "a", run("s")),
        (0, "b", run("s")), (server, "c", run("s")), (server, "b", describe_statement("s") + SYNC), (0, "c", run("s")),
        (server, "a", again), (0, "a", run("s")), (1, "a", run("s")), (1, "b", run("s")), (1, "c", run("s")), (1, "a", run("s"))])
    assert errors(heard) == ["0A000"] * 5


def test_change_and_change_back(pooler, postgres):
    heard = same(pooler, postgres, [
        (0, "a", prepare("s", ALL)), ADD, (1, "b", prepare("s", ALL)), (1, "a", run("s")), (0, "a", run("s")), TAKE,
        (0, "a", run("s")), (1, "a", run("s")), (0, "b", run("s")), (1, "b", run("s")), (1, "a", run("s")), ADD, (1, "b", run("s")),
        (0, "a", run("s")), REMAKE, (0, "a", run("s")), (1, "a", run("s")), (1, "b", run("s"))])
    assert set(errors(heard)) == {"0A000"}


@pytest.mark.parametrize("change", (WIDEN, TEXT, "ALTER TABLE changing RENAME a TO z",
                                    "ALTER TABLE changing ALTER b TYPE varchar(20)"))
def test_another_type(pooler, postgres, change):
    heard = same(pooler, postgres, [
        (0, "a", prepare("s", ALL)), (1, "a", run("s")), change, (0, "a", run("s")), (1, "a", run("s")), (1, "b", prepare("s", ALL)),
        (0, "b", run("s")), (1, "b", run("s")), (0, "a", run("s"))])
    assert errors(heard) == ["0A000"] * 3


@pytest.mark.parametrize("change", (WIDEN, TEXT))
def test_a_parameters_type_stays_what_it_was(pooler, postgres, change):
    """The client sends four bytes for an int4, whatever the column has become."""
    four = (0).to_bytes(3, "big") + b"\7"
    insert = bind((four,), name="i", formats=(1,)) + execute() + SYNC
    same(pooler, postgres, [
        (0, "a", prepare("i", "INSERT INTO changing (a) VALUES ($1)")), (1, "a", insert), change, (0, "a", insert), (1, "a", insert),
        (1, "b", prepare("i", "INSERT INTO changing (a) VALUES ($1)")), (0, "b", run("i", "8")), (1, "b", run("i", "8")),
        (0, "a", insert), (1, "b", run("i", "9")), (0, "b", run("i", "9"))])


@pytest.mark.parametrize("sql", ("INSERT INTO changing (a) VALUES (7) RETURNING *", "UPDATE changing SET a = a + 10 RETURNING *",
                                 "WITH w AS (INSERT INTO changing (a) VALUES (7) RETURNING *) SELECT * FROM w",
                                 "SELECT changing_write(3), * FROM changing", "SELECT *, nextval('changing_seq') FROM changing"))
def test_what_is_refused_has_changed_nothing(pooler, postgres, sql):
    heard = same(pooler, postgres, [
        (0, "a", prepare("s", sql)), (0, "a", run("s")), (1, "a", run("s")), (0, "b", query("SELECT 1")), ADD, (1, "a", run("s")),
        (0, "c", prepare("t", sql)), (0, "a", run("s")), (1, "a", run("s")), (1, "c", run("t")), (0, "a", query("BEGIN")),
        (0, "a", run("s")), (0, "a", run("s")), (0, "a", query("END")), (0, "c", run("t"))])
    assert errors(heard) == ["0A000"] * 4 + ["25P02"]


def test_a_batch_in_which_it_fails(pooler, postgres):
    """What stands before it in the batch is rolled back, what stands behind it is not executed; the next batch is."""
    unnamed = lambda n: parse("INSERT INTO changing (a) VALUES (%d)" % n) + bind() + execute()
    one = bind(name="s") + execute()
    script = [(0, "a", prepare("s", ALL)), (1, "a", run("s")), (0, "a", prepare("i", "INSERT INTO changing (a) VALUES (5)")), ADD]
    for server in (0, 1):
        script += [(server, "b", prepare("n%d" % server, ALL)), (server, "a", unnamed(11) + one + SYNC), (server, "a", one + unnamed(12) + SYNC),
                   (server, "a", one + bind(name="i") + execute() + SYNC), (server, "a", bind(name="i") + execute() + one + SYNC),
                   (server, "a", one + one + one + SYNC), (server, "a", one + describe_portal() + execute() + SYNC),
                   (server, "a", bind(name="s", portal="p") + execute("p") + SYNC), (server, "a", bind(name="s") + SYNC),
                   (server, "a", describe_statement("s") + bind(name="s") + describe_portal() + execute() + SYNC),
                   (server, "a", one + query("INSERT INTO changing VALUES (13)") + SYNC)]
    heard = same(pooler, postgres, script)
    assert len(errors(heard)) == 20


def test_batches_behind_each_other(pooler, postgres):
    """A pipeline whose first batch fails: the second one counts, and its answers are in their place."""
    one = pooler(default_pool_size=2, workers=1)
    for target, wires in ((postgres, []), (one, [])):
        postgres.sql(DROP)
        postgres.sql(MAKE)
        wires.extend(target.connect() for _ in range(3))
        wires[0].send(prepare("s", ALL))
        wires[0].read_ready()
        wires[1].ask("BEGIN; SELECT 1")  # on the server that has the statement
        postgres.sql(ADD)
        wires[0].send(run("s") + query("INSERT INTO changing_log VALUES (1)") + run("s") + prepare("t", ALL) + run("t")
                      + query("BEGIN") + run("t") + run("s") + run("t") + query("COMMIT") + query("SELECT n FROM changing_log"))
        heard = [readable(kind, body) for kind, body in wires[0].read_ready(11)]
        if target is postgres:
            expected = heard
        assert heard == expected
        for wire in wires:
            wire.close()
        postgres.end_sessions()
    postgres.sql(DROP)
    assert [m[1] for m in expected if m[0] == "E"] == ["0A000", "0A000", "0A000", "25P02"]


def test_in_a_transaction(pooler, postgres):
    heard = same(pooler, postgres, [
        (0, "a", prepare("s", ALL)), (0, "a", prepare("t", "SELECT count(*) FROM changing")), (1, "a", run("t")), ADD,
        (1, "a", query("BEGIN")), (1, "a", run("t")), (1, "a", query("SAVEPOINT one")), (1, "a", run("s")), (1, "a", run("t")),
        (1, "a", query("ROLLBACK TO one")), (1, "a", run("t")), (1, "a", query("COMMIT")), (0, "a", query("BEGIN")),
        (0, "a", query("INSERT INTO changing (a) VALUES (6)")), (0, "a", run("s")), (0, "a", query("COMMIT")), (0, "a", run("t"))])
    assert errors(heard) == ["0A000", "25P02", "0A000"]


def test_a_change_of_the_own_transaction(pooler, postgres):
    same(pooler, postgres, [
        (0, "a", prepare("s", ALL)), (1, "b", query("BEGIN")), (1, "b", query(ADD)), (1, "b", prepare("s", ALL)), (1, "b", run("s")),
        (1, "b", query("ROLLBACK")), (1, "b", run("s")), (0, "b", run("s")), (1, "a", run("s")), (0, "a", query("BEGIN")),
        (0, "a", query(ADD)), (0, "a", run("s")), (0, "a", query("ROLLBACK")), (0, "a", run("s")), (1, "a", run("s"))])


def test_the_table_goes_and_comes_back(pooler, postgres):
    heard = same(pooler, postgres, [
        (0, "a", prepare("s", ALL)), (1, "a", run("s")), "ALTER TABLE changing RENAME TO changed", (0, "a", run("s")), (1, "a", run("s")),
        (0, "b", prepare("s", ALL)), "ALTER TABLE changed RENAME TO changing", (0, "a", run("s")), (1, "a", run("s")), REMAKE,
        (0, "a", run("s")), (1, "a", run("s")), (1, "a", describe_statement("s") + SYNC)])
    assert errors(heard) == ["42P01"] * 3


@pytest.mark.parametrize("mode", ("extended", "extended_anonymous"))
def test_a_described_unnamed_statement(pooler, postgres, mode):
    """Described in one batch, bound in another, on another server."""
    heard = same(pooler, postgres, [
        (0, "a", prepare("", ALL)), ADD, (1, "a", run("")), (1, "a", run("")), (0, "a", run("")), (0, "a", prepare("", ALL)),
        (1, "a", run("")), TAKE, (0, "a", run("")), (1, "a", run("")), (0, "b", prepare("", ALL)), (1, "b", run("")),
        (1, "b", bind() + execute() + query("SELECT 'skipped'") + SYNC)], prepared_statements=mode)
    assert errors(heard) == ["0A000"] * 5


TEXTS = {"s": ALL, "c": "SELECT count(*) FROM changing", "p": "SELECT a, b FROM changing WHERE a = $1", "i": "INSERT INTO changing (b) VALUES ($1)",
         "r": "INSERT INTO changing (b) VALUES ('r') RETURNING *", "f": "SELECT changing_write(1), * FROM changing",
         "w": "SELECT *, nextval('changing_seq') FROM changing ORDER BY 1, 2", "e": "SELECT * FROM changing WHERE false"}
CHANGES = (ADD, TAKE, WIDEN, NARROW, "ALTER TABLE changing RENAME b TO z", "ALTER TABLE changing RENAME z TO b", REMAKE)


def random_script(chance, steps):
    """Three clients that prepare, use, close and describe, in and out of transactions and in batches, while the table changes."""
    script, added, wide, name = [], False, False, "b"
    has, inside = {who: set() for who in "abc"}, {}
    for _ in range(steps):
        what = chance.random()
        if what < 0.08 and not inside:
            change = chance.choice(CHANGES)
            if change == ADD and not added or change == TAKE and added:
                added = not added
            elif change == WIDEN and not wide or change == NARROW and wide:
                wide = not wide
            elif change == REMAKE:
                added, wide, name = False, False, "b"
            elif "RENAME " + name in change:
                name = "z" if name == "b" else "b"
            else:
                continue
            script.append(change)
            continue
        who = chance.choice(sorted(inside) if len(inside) == 2 else "abc")
        server = inside[who] if who in inside else chance.choice([n for n in (0, 1) if n not in inside.values()])
        if what < 0.12:
            script.append((server, who, query("COMMIT" if who in inside else "BEGIN")))
            if inside.pop(who, None) is None:
                inside[who] = server
            continue
        batch = b""
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            key = chance.choice(sorted(TEXTS))
            if key not in has[who]:
                batch += parse(TEXTS[key], key) + (describe_statement(key) if chance.random() < 0.5 else b"")
                has[who].add(key)
            elif chance.random() < 0.15:
                batch += close_statement(key)
                has[who].discard(key)
                break
            elif key != "i" and chance.random() < 0.1:  # PostgreSQL does not look at one without a result
                batch += describe_statement(key)
            else:
                portal = chance.choice(("", "", "", "q%d" % len(batch)))
                batch += bind(("1",) if key in "pi" else (), name=key, portal=portal)
                batch += describe_portal(portal) if chance.random() < 0.3 else b""
                batch += execute(portal)
        script.append((server, who, batch + SYNC))
    return script + [(inside[who], who, query("ROLLBACK")) for who in sorted(inside)]


@pytest.mark.parametrize("seed", range(12))
def test_by_chance(pooler, postgres, seed):
    chance = random.Random(seed)
    same(pooler, postgres, random_script(chance, 80), prepared_statements=chance.choice(("extended", "extended_anonymous")),
         prepared_statements_limit=chance.choice((3, 500)))


def test_sql_executes_what_the_protocol_prepared(pooler, postgres):
    """EXECUTE in a simple query, of a name that the client has prepared by the protocol, on both servers."""
    heard = same(pooler, postgres, [
        (0, "a", prepare("s", ALL)), (0, "a", prepare("p", "SELECT b FROM changing WHERE a = $1")),
        (0, "a", prepare("Q", "INSERT INTO changing (a) VALUES ($1)")), (1, "a", query("EXECUTE s")), (0, "a", query("EXECUTE s")),
        (1, "a", query(" /* x */ execute P (1);")), (0, "a", query('EXECUTE "Q"(5)')), (1, "a", query('EXECUTE "Q"(6); SELECT 1')),
        (1, "a", query("EXECUTE q(6)")), (0, "b", query("EXECUTE s")), (1, "a", query("EXECUTE p")), (1, "a", query("EXECUTE p('x')")),
        (1, "a", query("EXECUTE p(nobody)")),
        (0, "a", query("BEGIN")), (0, "a", query("EXECUTE p(1)")), (0, "a", query("EXECUTE p(1, 2)")), (0, "a", query("EXECUTE p(1)")),
        (0, "a", query("ROLLBACK")), (0, "b", prepare("s", "SELECT 'of b'")), (0, "b", query("EXECUTE s")), (0, "a", run("s")),
        (1, "b", query("EXECUTE s") + close_statement("s") + SYNC), (1, "b", SYNC), (1, "b", query("EXECUTE s")), ADD, (0, "a", query("EXECUTE s")),
        (1, "a", query("EXECUTE s")), (1, "a", query("EXECUTE p(2)")), (1, "a", query("BEGIN")), (1, "a", query("EXECUTE s")),
        (1, "a", query("EXECUTE p(2)")), (1, "a", query("COMMIT")), TAKE, (1, "a", query("EXECUTE s")), (0, "a", query("EXECUTE s")),
        (0, "a", query("DEALLOCATE s")), (0, "a", query("EXECUTE s")), (0, "a", bind(name="p") + execute() + SYNC)])
    assert errors(heard).count("0A000") == 3


def test_sql_executes_what_cannot_be_parsed_any_more(pooler, postgres):
    """It is an error, once, and the session goes on."""
    one = pooler(default_pool_size=2, workers=1)
    postgres.sql(DROP)
    postgres.sql(MAKE)
    try:
        place = Led(postgres, one)
        ask = lambda request: lambda wire: (wire.send(request), [readable(*m) for m in wire.read_ready()])[1]
        place.led_to(0, "a", ask(prepare("s", ALL)))
        place.led_to(0, "a", ask(prepare("i", "INSERT INTO changing (a) VALUES (5)")))
        postgres.sql("ALTER TABLE changing RENAME TO changed")
        for name in "sisi":
            heard = place.led_to(1, "a", ask(query("EXECUTE %s" % name)))
            assert heard == [("E", "26000", 'prepared statement "%s" does not exist' % name, None, None), ("Z", b"I")]
        postgres.sql("ALTER TABLE changed RENAME TO changing")
        assert [m[0] for m in place.led_to(1, "a", ask(query("EXECUTE s")))] == ["T", "D", "D", "C", "Z"]
        assert [m[0] for m in place.led_to(1, "a", ask(query("EXECUTE i")))] == ["C", "Z"]
        place.close()
    finally:
        postgres.end_sessions()
        postgres.sql(DROP)
