"""The limits on a client's time: who is over one hears which, loses its session, and nobody else notices."""
import time

import pytest

import harness
import wireclient
from wireclient import FLUSH, SYNC, bind, copy_data, execute, parse, query

pytestmark = pytest.mark.pgring_only

LIMIT_MS = 1000
BEYOND_S = 1.5  # longer than the limit
LONG_MS = 60000  # a limit that no test of this file may meet


def farewell(wire):
    """The one message with which the session ends: (severity, SQLSTATE, message, detail)."""
    messages = wire.read_to_end()
    assert [kind for kind, _ in messages][-1:] == [b"E"], messages
    fields = wireclient.error_fields(messages[-1][1])
    return fields["S"], fields["C"], fields["M"], fields.get("D")


IDLE = ("FATAL", "57P05", "disconnecting idle client", "client_idle_timeout of 1000ms expired")
IDLE_IN_TRANSACTION = ("FATAL", "57P05", "disconnecting idle in transaction client",
                       "client_idle_in_transaction_timeout of 1000ms expired")
QUERY = ("FATAL", "58000", "query timeout", "query_timeout of 1000ms expired")
TRANSACTION = ("FATAL", "25P04", "transaction timeout", "transaction_timeout of 1000ms expired")
LOGIN = ("FATAL", "57P05", "client login timeout", "client_login_timeout of 1000ms expired")


def lines(postgres):
    return [row[0] for row in postgres.sql("SELECT line FROM lines ORDER BY line")]


@pytest.fixture
def clean(postgres):
    postgres.sql("SELECT wire_reset()")
    return postgres


def metric(one, name):
    console = one.console()
    console.send(query("SHOW CORES"))
    messages = console.read_ready()
    columns = [c[0] for c in wireclient.row_description(next(body for kind, body in messages if kind == b"T"))]
    assert name in columns
    return sum(int(row[columns.index(name)]) for row in console.rows(messages))


# ---- each of them, by itself ----------------------------------------------------------------------------------------------


def test_login(pooler):
    one = pooler(client_login_timeout=LIMIT_MS)
    wire = one.wire()
    wire.send(wireclient.startup_packet([("user", harness.USER), ("database", harness.DATABASE)]))
    assert farewell(wire) == LOGIN
    assert one.wire().read_to_end() == [], "who has said nothing hears nothing"


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_idle(pooler, mode):
    one = pooler(client_idle_timeout=LIMIT_MS, pooler_mode=mode)
    began = time.monotonic()
    wire = one.connect()
    assert farewell(wire) == IDLE
    assert time.monotonic() - began >= 0.95
    wire = one.connect()
    began = time.monotonic()
    wire.ask("SELECT 1")
    assert farewell(wire) == IDLE
    assert time.monotonic() - began >= 0.95
    assert metric(one, "idle_timeouts") == 2


def test_who_works_is_not_idle(pooler):
    """The limit counts from the last thing that happened, not from the login; and a statement may last longer than it."""
    one = pooler(client_idle_timeout=3000)
    wire = one.connect()
    began = time.monotonic()
    while time.monotonic() - began < 4:
        wire.ask("SELECT 1")
        time.sleep(0.02)
    assert wire.one("SELECT 2 FROM pg_sleep(3.5)") == "2"
    wire.ask("BEGIN")
    time.sleep(3.5)
    assert wire.one("SELECT 3") == "3"
    wire.ask("COMMIT")


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_idle_in_transaction(pooler, clean, mode):
    one = pooler(client_idle_in_transaction_timeout=LIMIT_MS, client_idle_timeout=LONG_MS, default_pool_size=1,
                 pooler_mode=mode)
    wire = one.connect()
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('lost')")
    pid = wire.server_pid()
    assert farewell(wire) == IDLE_IN_TRANSACTION
    other = one.connect()
    assert other.server_pid() == pid, "the server was only idle: rolled back, it serves the next"
    assert lines(clean) == []
    other.ask("BEGIN; SELECT pg_sleep(%g); COMMIT" % BEYOND_S)  # a running statement is not idle
    time.sleep(BEYOND_S)
    other.ask("SELECT 1")  # nor is who has no transaction in one
    assert metric(one, "idle_timeouts") == 1


def test_idle_in_a_failed_transaction(pooler):
    one = pooler(client_idle_in_transaction_timeout=LIMIT_MS, default_pool_size=1)
    wire = one.connect()
    wire.ask("BEGIN")
    with pytest.raises(wireclient.ServerError):
        wire.ask("SELECT 1/0")
    assert farewell(wire) == IDLE_IN_TRANSACTION
    assert one.connect().one("SELECT 1") == "1"


def test_idle_in_a_batch(pooler, clean):
    """A batch without its Sync holds a server, and what it did is not committed."""
    one = pooler(client_idle_in_transaction_timeout=LIMIT_MS, default_pool_size=1)
    wire = one.connect()
    wire.send(parse("INSERT INTO lines (line) VALUES ('lost')") + bind() + execute() + FLUSH)
    assert farewell(wire) == IDLE_IN_TRANSACTION
    assert one.connect().one("SELECT 1") == "1"
    assert lines(clean) == []


def test_query(pooler):
    one = pooler(query_timeout=LIMIT_MS, default_pool_size=1)
    wire = one.connect()
    wire.send(query("SELECT pg_sleep(30)"))
    assert farewell(wire) == QUERY
    assert one.connect().one("SELECT 1") == "1"
    assert metric(one, "query_timeouts") == 1


def test_query_in_a_transaction(pooler, clean):
    one = pooler(query_timeout=LIMIT_MS, default_pool_size=1)
    wire = one.connect()
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('lost')")
    time.sleep(BEYOND_S)  # idle, which has a limit of its own
    wire.send(parse("SELECT pg_sleep(30)") + bind() + execute() + SYNC)
    assert farewell(wire) == QUERY
    assert one.connect().one("SELECT 1") == "1"
    assert lines(clean) == []


def test_query_timeout_counts_silence(pooler):
    """Rows that come in time, and data that the client sends in time, are no silence."""
    one = pooler(query_timeout=3000, default_pool_size=1)
    wire = one.connect()
    wire.ask("CREATE FUNCTION pg_temp.slowly() RETURNS SETOF text LANGUAGE plpgsql AS "
             "'BEGIN FOR i IN 1..9 LOOP RAISE NOTICE ''%''; PERFORM pg_sleep(0.5); END LOOP; END'"
             .replace("''%''", "''step''") + "; SELECT * FROM pg_temp.slowly()")
    wire.ask("BEGIN; CREATE TEMPORARY TABLE slow (a text) ON COMMIT DROP")
    wire.send(query("COPY slow FROM STDIN"))
    for _ in range(9):
        time.sleep(0.5)
        wire.send(copy_data("line\n"))
    wire.send(wireclient.COPY_DONE)
    wire.rows(wire.read_ready())
    assert wire.one("SELECT count(*) FROM slow") == "9"
    wire.ask("COMMIT")


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_transaction(pooler, clean, mode):
    """However busy it is."""
    one = pooler(transaction_timeout=LIMIT_MS, client_idle_in_transaction_timeout=LONG_MS, query_timeout=LONG_MS,
                 default_pool_size=1, pooler_mode=mode)
    wire = one.connect()
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('lost')")
    with pytest.raises(wireclient.WireError) as caught:
        while True:
            wire.ask("SELECT 1")
            time.sleep(0.02)
    fields = caught.value.fields
    assert (fields["S"], fields["C"], fields["M"], fields["D"]) == TRANSACTION
    other = one.connect()
    assert other.one("SELECT 1") == "1"
    assert lines(clean) == []
    time.sleep(BEYOND_S)
    assert other.one("SELECT 2") == "2", "no transaction, no limit"
    assert metric(one, "transaction_timeouts") == 1


def test_transaction_while_idle_or_running(pooler, clean):
    one = pooler(transaction_timeout=LIMIT_MS, default_pool_size=2)
    idle, running = one.connect(), one.connect()
    idle.ask("BEGIN; INSERT INTO lines (line) VALUES ('lost')")
    running.send(query("INSERT INTO lines (line) SELECT 'lost' FROM pg_sleep(30)"))
    assert farewell(idle) == TRANSACTION
    assert farewell(running) == TRANSACTION
    for wire in (one.connect(), one.connect()):
        wire.ask("BEGIN; SELECT 1; COMMIT")
    assert lines(clean) == []


def test_transactions_one_after_the_other(pooler):
    """Each counts by itself, also of a client whose requests never end."""
    one = pooler(transaction_timeout=3000, default_pool_size=1)
    wire = one.connect()
    began, sent = time.monotonic(), 0
    wire.send(query("SELECT 1"))
    while time.monotonic() - began < 4:
        wire.send(query("SELECT pg_sleep(0.05)"))  # the next is there before this one is answered
        wire.rows(wire.read_ready())
        sent += 1
    wire.rows(wire.read_ready())
    assert sent > 3


def test_checkout(pooler):
    one = pooler(checkout_timeout=LIMIT_MS, default_pool_size=1, client_connection_recovery="recover",
                 client_idle_timeout=LONG_MS, query_timeout=LONG_MS, transaction_timeout=LONG_MS)
    holder, waiter = one.connect(), one.connect()
    holder.ask("BEGIN; SELECT 1")
    waiter.send(query("SELECT 1"))
    messages = waiter.read_ready()
    fields = wireclient.error_fields(messages[0][1])
    assert (fields["S"], fields["C"], fields["M"]) == ("ERROR", "58000", "checkout timeout")
    holder.ask("COMMIT")
    assert waiter.one("SELECT 1") == "1"


# ---- together -------------------------------------------------------------------------------------------------------------


def test_who_waits_meets_no_other_limit(pooler):
    one = pooler(checkout_timeout=LONG_MS, client_idle_timeout=LIMIT_MS, client_idle_in_transaction_timeout=LONG_MS,
                 query_timeout=LONG_MS, transaction_timeout=LONG_MS, default_pool_size=1)
    holder, waiter = one.connect(), one.connect()
    holder.ask("BEGIN; SELECT 1")
    waiter.send(query("SELECT 'waited'"))
    time.sleep(BEYOND_S)
    holder.ask("COMMIT")
    assert waiter.rows(waiter.read_ready()) == [["waited"]]


def test_limits_come_and_go_with_a_reload(pooler):
    one = pooler(client_idle_timeout=LONG_MS)
    idle, later = one.connect(), one.connect()
    idle.ask("SELECT 1")
    one.general["client_idle_timeout"] = LIMIT_MS
    one.write()
    one.console().ask("RELOAD")
    assert farewell(idle) == IDLE
    assert farewell(later) == IDLE
    del one.general["client_idle_timeout"]
    one.write()
    one.console().ask("RELOAD")
    spared = one.connect()
    spared.ask("SELECT 1")
    time.sleep(BEYOND_S)
    assert spared.one("SELECT 2") == "2"


def test_busy_clients_meet_no_limit(pooler):
    """All limits on, none met."""
    one = pooler(client_idle_timeout=3000, client_idle_in_transaction_timeout=3000, query_timeout=3000, transaction_timeout=3000)
    wires = [one.connect() for _ in range(10)]
    began = time.monotonic()
    while time.monotonic() - began < 4:
        for wire in wires:
            wire.send(query("BEGIN; SELECT 1") + query("COMMIT"))
        for wire in wires:
            wire.read_ready(2)
    assert [wire.one("SELECT 1") for wire in wires] == ["1"] * 10
