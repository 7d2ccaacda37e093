"""Who gets a server connection when, what a client finds on it, and what it leaves behind."""
import random
import signal
import struct
import threading
import time

import pytest

import crowd
import harness
import wireclient
from harness import USER, database_row, user_row, wait_until
from wireclient import FLUSH, SYNC, bind, copy_data, execute, parse, query


# ---- sharing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", (1, 2, 4))
def test_50_clients_on_5_servers(pooler, postgres, workers):
    """All are served, never by more than five servers, and nobody waits much longer than the others."""
    one = pooler(default_pool_size=5, workers=workers)
    wires = crowd.all_connected(one, 50)
    crowd.ask_all(wires, "SELECT 1")
    most = [0]
    stop = threading.Event()

    def watch():
        with postgres.connect_admin() as admin:
            while not stop.wait(0.01):
                most[0] = max(most[0], int(admin.one("SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'" % USER)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        got = crowd.ask_all(wires, "SELECT {i}, pg_backend_pid() FROM pg_sleep(0.05)")
    finally:
        stop.set()
        watcher.join()
    assert all(rows[0][0] == str(i) for i, rows, _ in got)
    assert 2 <= most[0] <= 5, "%d server connections" % most[0]
    last = max(seconds for _, _, seconds in got)
    assert last < harness.at_most(10 * 0.05 * 3 + 1), "the last one waited %.2f s" % last


def test_waiting_clients_are_served_in_order(pooler, postgres):
    """The server says when it was whose turn."""
    postgres.sql("CREATE SEQUENCE IF NOT EXISTS turns; GRANT ALL ON SEQUENCE turns TO PUBLIC; ALTER SEQUENCE turns RESTART")
    one = pooler(default_pool_size=1, workers=1)
    holder, *wires = crowd.all_connected(one, 21)
    holder.ask("BEGIN; SELECT 1")
    for wire in wires:
        wire.send(query("SELECT nextval('turns'), pg_sleep(0.01)"))
        time.sleep(0.003)
    holder.ask("COMMIT")
    turns = [int(wire.rows(wire.read_ready())[0][0]) for wire in wires]
    assert sorted(turns) == list(range(1, 21))
    displaced = max(abs(place - turn) for place, turn in enumerate(turns, 1))
    assert displaced <= 3, "served in the order %s" % turns


@pytest.mark.parametrize("mode", ("transaction", "statement"))
def test_one_client_stays_on_one_server(pooler, mode):
    one = pooler(pooler_mode=mode)
    wire = one.connect()
    assert len({wire.server_pid() for _ in range(50)}) == 1


@pytest.mark.parametrize("workers", (1, 4))
def test_clients_share_a_pool_of_one(pooler, postgres, workers):
    """On any number of cores."""
    one = pooler(default_pool_size=1, workers=workers)
    wires = crowd.all_connected(one, 12)
    pids = set()
    for _ in range(10):
        got = crowd.ask_all(wires, "SELECT {i}, pg_backend_pid()")
        assert all(rows[0][0] == str(i) for i, rows, _ in got)
        pids |= {rows[0][1] for _, rows, _ in got}
    assert len(postgres.server_pids(USER)) == 1
    assert len(pids) == 1, "connections are closed and opened again instead of shared"


def test_a_transaction_keeps_its_server(pooler):
    one = pooler(default_pool_size=3)
    wires = crowd.all_connected(one, 3)
    for wire in wires:
        wire.ask("BEGIN")
    pids = [wire.server_pid() for wire in wires]
    assert len(set(pids)) == 3
    for _ in range(10):
        assert [wire.server_pid() for wire in wires] == pids
    for wire in wires:
        wire.ask("COMMIT")


def test_session_mode_keeps_its_server(pooler):
    one = pooler(pooler_mode="session", default_pool_size=3)
    wires = crowd.all_connected(one, 3)
    pids = [wire.server_pid() for wire in wires]
    assert len(set(pids)) == 3
    for _ in range(10):
        assert [wire.server_pid() for wire in wires] == pids


@pytest.mark.parametrize("mode", ("transaction", "session"))
@pytest.mark.parametrize("workers", (2, 4))
def test_cold_pool_serves_everybody_at_once(pooler, mode, workers):
    """20 clients of a pool of 20 that has no connection yet, and each keeps what it gets."""
    one = pooler(pooler_mode=mode, default_pool_size=20, workers=workers)
    wires = crowd.all_connected(one, 20)
    began = time.monotonic()
    got = crowd.ask_all(wires, "BEGIN; SELECT pg_backend_pid()")
    took = time.monotonic() - began
    assert len({rows[0][0] for _, rows, _ in got}) == 20
    assert took < harness.at_most(3), "it took %.1f s" % took
    crowd.ask_all(wires, "COMMIT")


def test_a_client_that_sends_slowly_holds_no_server(pooler):
    one = pooler(default_pool_size=1)
    slow, other = one.connect(), one.connect()
    packet = query("SELECT 'slow'")
    for byte in packet[:-1]:
        slow.send(bytes([byte]))
        assert other.one("SELECT 'other'") == "other"
    slow.send(packet[-1:])
    assert slow.rows(slow.read_ready()) == [["slow"]]


def test_an_idle_client_holds_no_server(pooler):
    one = pooler(default_pool_size=1)
    wires = crowd.all_connected(one, 10)
    for _ in range(3):
        for wire in wires:
            assert wire.one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_pool_sizes_of_user_and_database(pooler, postgres):
    """user beats database beats general."""
    databases = [database_row(postgres, "a"), database_row(postgres, "b", pool_size=2)]
    users = [user_row("wire", "a"), user_row("sam", "b"), user_row("mona", "b", pool_size=1)]
    one = pooler(default_pool_size=3, databases=databases, users=users, checkout_timeout=1500, client_connection_recovery="recover")
    for user, database, size in (("wire", "a", 3), ("sam", "b", 2), ("mona", "b", 1)):
        wires = [one.connect(user, database=database) for _ in range(size + 1)]
        for wire in wires[:size]:
            wire.ask("BEGIN; SELECT 1")
        with pytest.raises(wireclient.ServerError):
            wires[size].ask("SELECT 1")
        for wire in wires[:size]:
            wire.ask("COMMIT")


# ---- waiting ---------------------------------------------------------------------------------------------------------


def test_checkout_timeout(pooler):
    one = pooler(default_pool_size=1, checkout_timeout=1500)
    holder, waiter = one.connect(), one.connect()
    holder.ask("BEGIN; SELECT 1")
    began = time.monotonic()
    with pytest.raises(wireclient.ServerError):
        waiter.ask("SELECT 1")
    assert 1.4 <= time.monotonic() - began <= harness.at_most(3)
    assert holder.ask("SELECT 2; COMMIT") == [["2"]]
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_checkout_timeout_drops_the_client(pooler):
    one = pooler(default_pool_size=1, checkout_timeout=1500, client_connection_recovery="drop")
    holder, waiter = one.connect(), one.connect()
    holder.ask("BEGIN; SELECT 1")
    waiter.send(query("SELECT 1"))
    messages = waiter.read_to_end()
    assert [kind for kind, _ in messages] == [b"E"]
    fields = wireclient.error_fields(messages[0][1])
    assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "58000", "checkout timeout")


@pytest.mark.pgring_only
def test_checkout_timeout_keeps_the_client(pooler):
    one = pooler(default_pool_size=1, checkout_timeout=1500, client_connection_recovery="recover")
    holder, waiter = one.connect(), one.connect()
    holder.ask("BEGIN; SELECT 1")
    for request in (query("SELECT 1"), parse("SELECT 1") + bind() + execute() + SYNC, query("SELECT 1")):
        waiter.send(request)
        messages = waiter.read_ready()
        assert [kind for kind, _ in messages] == [b"E", b"Z"] and messages[1][1] == b"I"
        fields = wireclient.error_fields(messages[0][1])
        assert (fields["S"], fields["C"], fields["M"]) == ("ERROR", "58000", "checkout timeout")
    holder.ask("COMMIT")
    assert waiter.one("SELECT 1") == "1"


@pytest.mark.parametrize("reset", (False, True))
def test_a_waiting_client_leaves(pooler, postgres, reset):
    """Its statement is never run, and the next in the queue gets its turn."""
    postgres.sql("SELECT wire_reset()")
    one = pooler(default_pool_size=1)
    holder, leaver, patient = crowd.all_connected(one, 3)
    holder.ask("BEGIN; SELECT 1")
    leaver.send(query("INSERT INTO lines (line) VALUES ('by one who left')"))
    time.sleep(0.05)
    patient.send(query("INSERT INTO lines (line) VALUES ('by a patient one')"))
    time.sleep(0.05)
    leaver.drop(reset)
    time.sleep(0.1)
    holder.ask("COMMIT")
    patient.read_ready()
    assert postgres.sql("SELECT line FROM lines") == [["by a patient one"]]


def test_many_waiting_clients_leave(pooler):
    one = pooler(default_pool_size=2)
    holders = crowd.all_connected(one, 2)
    for holder in holders:
        holder.ask("BEGIN; SELECT 1")
    for _ in range(3):
        wires = crowd.all_connected(one, 30)
        for wire in wires:
            wire.send(query("SELECT pg_sleep(600)"))
        for i, wire in enumerate(wires):
            wire.drop(i % 2 == 0)
    for holder in holders:
        holder.ask("COMMIT")
    crowd.ask_all(crowd.all_connected(one, 10), "SELECT 1")


# ---- how long servers live -----------------------------------------------------------------------------------------------


def test_idle_timeout(pooler, postgres):
    one = pooler(idle_timeout=400, min_pool_size=0)
    wires = crowd.all_connected(one, 5)
    crowd.ask_all(wires, "SELECT pg_sleep(0.05)")
    wait_until(lambda: not postgres.server_pids(USER), 4, "end of the idle connections")
    crowd.ask_all(wires, "SELECT 1")


def test_a_busy_server_is_not_idle(pooler, postgres):
    one = pooler(idle_timeout=300, min_pool_size=0)
    wire = one.connect()
    wire.ask("BEGIN")
    pid = wire.server_pid()
    time.sleep(1.2)
    assert wire.server_pid() == pid
    wire.ask("COMMIT")


def test_min_pool_size(pooler, postgres):
    one = pooler(min_pool_size=3, default_pool_size=10, idle_timeout=300, users=[user_row(USER)])
    if harness.TARGET != "pgring":
        one.connect().ask("SELECT 1")  # others wait for the first client
    wait_until(lambda: len(postgres.server_pids(USER)) == 3, 5, "three connections without a client")
    wires = crowd.all_connected(one, 8)
    crowd.ask_all(wires, "SELECT pg_sleep(0.1)")
    wait_until(lambda: len(postgres.server_pids(USER)) == 3, 5, "shrinking to three")


def test_server_lifetime(pooler):
    one = pooler(server_lifetime=700, default_pool_size=1)
    wire = one.connect()
    wire.ask("BEGIN")
    pid = wire.server_pid()
    time.sleep(1.2)
    assert wire.server_pid() == pid, "a transaction is not interrupted"
    wire.ask("COMMIT")
    wait_until(lambda: wire.server_pid() != pid, 3, "a new connection", 0.05)


def test_server_lifetime_under_load(pooler):
    """Recycling is never seen by clients."""
    one = pooler(server_lifetime=300, default_pool_size=4)
    wires = crowd.all_connected(one, 8)
    began = time.monotonic()
    pids = set()
    while time.monotonic() - began < 2 or len(pids) < 8:
        assert time.monotonic() - began < harness.PATIENCE_S, "only %d connections" % len(pids)
        pids |= {rows[0][0] for _, rows, _ in crowd.ask_all(wires, "SELECT pg_backend_pid()")}


# ---- what a client leaves behind -----------------------------------------------------------------------------------------


def abandon_in_transaction(wire):
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('abandoned'); SELECT set_config('work_mem', '77kB', true)")


def abandon_failed_transaction(wire):
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('abandoned')")
    with pytest.raises(wireclient.ServerError):
        wire.ask("SELECT 1/0")


def abandon_transaction_with_locks(wire):
    wire.ask("BEGIN; LOCK TABLE lines IN ACCESS EXCLUSIVE MODE")


def abandon_begin_only(wire):
    wire.ask("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")


def abandon_copy_in(wire):
    wire.send(query("COPY pairs FROM STDIN"))
    wire.read_until(b"G")
    wire.send(copy_data("1\tabandoned\n"))


def abandon_copy_in_inside_a_message(wire):
    wire.send(query("COPY pairs FROM STDIN"))
    wire.read_until(b"G")
    wire.send(copy_data("1\tabandoned\n") + copy_data("x" * 100000)[:50000])


def abandon_copy_in_extended(wire):
    wire.send(parse("COPY pairs FROM STDIN") + bind() + execute() + SYNC)
    wire.read_until(b"G")
    wire.send(copy_data("1\tabandoned\n"))


def abandon_copy_out_unread(wire):
    wire.send(query("COPY (SELECT g, repeat('x', 1000) FROM generate_series(1, 50000) g) TO STDOUT"))
    wire.read_until(b"H")


def abandon_rows_unread(wire):
    wire.send(query("SELECT g, repeat('x', 1000) FROM generate_series(1, 50000) g"))
    wire.read_until(b"T")


def abandon_batch_without_sync(wire):
    wire.send(parse("INSERT INTO lines (line) VALUES ('abandoned')") + bind() + execute() + FLUSH)
    wire.read_until(b"C")


def abandon_failed_batch_without_sync(wire):
    wire.send(parse("SELEC") + FLUSH)
    wire.read_until(b"E")


def abandon_suspended_portal(wire):
    wire.send(parse("SELECT g FROM generate_series(1, 100) g") + bind() + execute(rows=1) + FLUSH)
    wire.read_until(b"s")


def abandon_unread_pipeline(wire):
    wire.send(b"".join(query("SELECT %d, repeat('x', 10000)" % i) for i in range(300)))


def abandon_unread_pipeline_with_transaction(wire):
    wire.send(b"".join(query(sql) for sql in ["BEGIN"] + ["INSERT INTO lines (line) VALUES ('abandoned')"] * 50 + ["SELECT pg_sleep(0.2)"]))


def abandon_running_query(wire):
    wire.send(query("SELECT 'abandoned', pg_sleep(1.5)"))
    time.sleep(0.1)


def abandon_running_query_in_transaction(wire):
    wire.send(query("BEGIN; INSERT INTO lines (line) VALUES ('abandoned'); SELECT pg_sleep(1.5)"))
    time.sleep(0.1)


def abandon_half_a_query(wire):
    wire.send(query("SELECT " + "1," * 1000 + "1")[:500])


def abandon_half_a_large_query(wire):
    wire.send((b"Q" + struct.pack("!i", 5 << 20) + b"SELECT '" + b"x" * (2 << 20)))


def abandon_half_a_batch(wire):
    wire.send(parse("INSERT INTO lines (line) VALUES ('abandoned')") + bind() + execute()[:3])


def abandon_half_a_batch_in_transaction(wire):
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('abandoned')")
    wire.send(query("SELECT 1")[:4])


WAYS = {name[len("abandon_"):]: function for name, function in list(globals().items()) if name.startswith("abandon_")}


@pytest.mark.parametrize("mode", ("transaction", "session"))
@pytest.mark.parametrize("goodbye", ("closes", "resets", "terminates"))
@pytest.mark.parametrize("way", WAYS)
def test_abandoned(pooler_of_one, postgres, way, goodbye, mode):
    """A client leaves in the middle of something. The next one, on the only server connection of the pool, gets its own answers
    and nothing else, and what was not committed is gone."""
    postgres.sql("SELECT wire_reset()")
    one = pooler_of_one(mode)
    leaver = one.connect()
    WAYS[way](leaver)
    {"closes": lambda: leaver.drop(), "resets": lambda: leaver.drop(True), "terminates": leaver.close}[goodbye]()
    for number in range(3):
        heir = one.connect()
        heir.send(query("SELECT 'heir %d', current_setting('transaction_isolation'), current_setting('work_mem')" % number))
        messages = heir.read_ready()
        assert [kind for kind, _ in messages] == [b"T", b"D", b"C", b"Z"], [wireclient.render(*m)[:200] for m in messages]
        assert heir.rows(messages) == [["heir %d" % number, "read committed", "4MB"]]
        assert messages[-1][1] == b"I"
        heir.send(parse("SELECT $1") + bind(["x"]) + execute() + SYNC)
        assert [kind for kind, _ in heir.read_ready()] == [b"1", b"2", b"D", b"C", b"Z"]
        heir.close()
    postgres.sql("SET LOCAL lock_timeout = '35s'; LOCK TABLE lines, pairs IN ACCESS EXCLUSIVE MODE; SELECT 1")
    assert postgres.sql("SELECT line FROM lines UNION ALL SELECT b FROM pairs") == []


@pytest.mark.parametrize("mode", ("transaction", "session"))
@pytest.mark.parametrize("way", ("in_transaction", "failed_transaction", "transaction_with_locks", "copy_in", "copy_in_extended",
    "batch_without_sync", "suspended_portal",
                                 "half_a_batch_in_transaction"))
def test_abandoned_locks_are_released(pooler_of_one, postgres, way, mode):
    """At once, not only when the next client comes: nobody may wait for a transaction whose client has gone."""
    postgres.sql("SELECT wire_reset()")
    leaver = pooler_of_one(mode).connect()
    WAYS[way](leaver)
    assert postgres.server_pids(USER)
    leaver.drop()
    wait_until(lambda: postgres.value("SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND (state <> 'idle' OR backend_xid IS NOT NULL)" % USER) == "0",
               3, "the end of the abandoned transaction")
    assert postgres.sql("SELECT line FROM lines UNION ALL SELECT b FROM pairs") == []


@pytest.fixture(scope="module")
def pooler_of_one(postgres):
    """One pooler with a pool of one for each mode. If it dies, the next test gets another."""
    running = {}

    def get(mode):
        if mode in running and not running[mode].process.alive():
            running.pop(mode).finish()
        if mode not in running:
            running[mode] = harness.POOLERS[harness.TARGET](postgres, general={"pooler_mode": mode, "default_pool_size": 1}).start()
        return running[mode]

    yield get
    problems = []
    for one in running.values():
        try:
            one.finish()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


def test_abandoning_crowd(pooler, postgres):
    """Clients come, do something by chance and leave by chance; others want right answers all the while."""
    postgres.sql("SELECT wire_reset()")
    one = pooler(default_pool_size=4)
    chance = random.Random(20261121)
    quick = [way for name, way in WAYS.items() if not name.startswith(("running", "unread_pipeline_with"))]
    steady = crowd.all_connected(one, 4)
    for turn in range(60):
        leaver = one.connect()
        chance.choice(quick)(leaver)
        if chance.random() < 0.7:
            leaver.drop(chance.random() < 0.5)
        else:
            leaver.close()
        for i, rows, _ in crowd.ask_all(steady, "SELECT 'turn %d client {i}'" % turn):
            assert rows == [["turn %d client %d" % (turn, i)]]
    assert postgres.sql("SELECT line FROM lines UNION ALL SELECT b FROM pairs") == []
    wait_until(lambda: len(postgres.server_pids(USER)) <= 4, 10, "no more than four connections")


# ---- session mode ----------------------------------------------------------------------------------------------------


def test_session_state_ends_with_the_session(pooler):
    one = pooler(pooler_mode="session", default_pool_size=1)
    first = one.connect()
    pid = first.server_pid()
    first.ask("SET work_mem = '77kB'; CREATE TEMP TABLE mine (a int); PREPARE p AS SELECT 1; LISTEN here; SELECT pg_advisory_lock(4711)")
    first.send(parse("SELECT 2", "named") + SYNC)
    first.read_ready()
    first.ask("SET DateStyle = 'German'; SET application_name = 'first'; SET search_path = pg_catalog")
    first.close()
    second = one.connect(parameters=[("application_name", "second")])
    assert second.server_pid() == pid, "the connection was not reused"
    assert second.one("SHOW work_mem") == "4MB"
    assert second.one("SHOW DateStyle") == "ISO, MDY"
    assert second.one("SHOW application_name") == "second"
    assert second.one("SELECT to_regclass('mine')") is None
    assert second.one("SELECT count(*) FROM pg_prepared_statements") == "0"
    assert second.one("SELECT count(*) FROM pg_listening_channels()") == "0"
    assert second.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


def test_listen_in_session_mode(pooler):
    """A notification reaches a client that is idle and asks for nothing."""
    one = pooler(pooler_mode="session", default_pool_size=3)
    listener, speaker = one.connect(), one.connect()
    listener.ask("LISTEN news")
    assert listener.silent(0.1)
    speaker.ask("NOTIFY news, 'extra'")
    kind, body = listener.read()
    assert kind == b"A" and body[4:] == b"news\0extra\0"
    assert listener.one("SELECT 1") == "1"
    speaker.ask("BEGIN; NOTIFY news, 'later'")
    assert listener.silent(0.2)
    speaker.ask("COMMIT")
    assert listener.read()[1][4:] == b"news\0later\0"


def test_parameter_changed_by_the_administrator(pooler, postgres):
    """The server reports it in the middle of an answer, before ReadyForQuery."""
    one = pooler(pooler_mode="session")
    wire = one.connect()
    wire.ask("SELECT 1")

    def report():
        wire.send(query("SELECT 1"))
        return [wireclient.parameter_status(body) for kind, body in wire.read_ready() if kind == b"S"]

    try:
        postgres.sql("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'")
        postgres.sql("SELECT pg_reload_conf()")
        assert wait_until(report, 5, "a ParameterStatus") == [("TimeZone", "Asia/Tokyo")]
    finally:
        postgres.sql("ALTER SYSTEM RESET TimeZone")
        postgres.sql("SELECT pg_reload_conf()")
    assert wait_until(report, 5, "a ParameterStatus") == [("TimeZone", "UTC")]


# ---- transaction mode ------------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
@pytest.mark.parametrize("mode", ("transaction", "statement"))
def test_named_statements_are_refused(pooler, mode):
    """Where they may not follow the client from server to server they are refused, not answered wrongly."""
    one = pooler(pooler_mode=mode, default_pool_size=1, prepared_statements="disabled")
    wire = one.connect()
    for _ in range(3):
        wire.send(parse("SELECT 1", "name") + bind(name="name") + execute() + query("SELECT 'skipped'") + SYNC)
        messages = wire.read_ready()
        assert [kind for kind, _ in messages] == [b"E", b"Z"]
        fields = wireclient.error_fields(messages[0][1])
        assert (fields["S"], fields["C"]) == ("ERROR", "0A000")
        assert messages[1][1] == b"I"
        assert wire.one("SELECT 'next'") == "next"
        assert wire.ask_extended("SELECT $1", ["unnamed"]) == [["unnamed"]]
    assert wire.one("SELECT count(*) FROM pg_prepared_statements WHERE name = 'name'") == "0"


@pytest.mark.pgring_only
def test_named_statements_are_refused_in_a_pipeline(pooler):
    """What was sent before keeps its answers, what follows until Sync is skipped, and the order holds."""
    one = pooler(default_pool_size=1, prepared_statements="disabled")
    wire = one.connect()
    wire.send(query("SELECT 1") + parse("SELECT 2") + bind() + execute() + parse("SELECT 3", "name") + execute() + SYNC + query("SELECT 4"))
    kinds = [kind for kind, _ in wire.read_ready(3)]
    assert kinds == [b"T", b"D", b"C", b"Z", b"1", b"2", b"D", b"C", b"E", b"Z", b"T", b"D", b"C", b"Z"]


@pytest.mark.pgring_only
def test_named_statements_are_refused_in_a_transaction(pooler):
    one = pooler(default_pool_size=1, prepared_statements="disabled")
    wire = one.connect()
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('x')")
    wire.send(parse("SELECT 1", "name") + SYNC)
    messages = wire.read_ready()
    assert [kind for kind, _ in messages] == [b"E", b"Z"] and messages[1][1] in (b"T", b"E")
    wire.ask("ROLLBACK")
    assert wire.one("SELECT 1") == "1"


# ---- statement mode --------------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
@pytest.mark.parametrize("begin", ("BEGIN", "begin", "START TRANSACTION", "/* c */ BEGIN READ ONLY", "-- c\n  start\ttransaction", "BEGIN;"))
@pytest.mark.parametrize("protocol", ("simple", "extended"))
def test_statement_mode_refuses_transactions(pooler, begin, protocol):
    one = pooler(pooler_mode="statement", default_pool_size=1)
    wire = one.connect()
    with pytest.raises(wireclient.ServerError) as caught:
        wire.ask(begin) if protocol == "simple" else wire.ask_extended(begin)
    assert caught.value.sqlstate == "58000"
    assert caught.value.text == "transaction control statements are not supported in statement pooler mode"
    assert one.connect().one("SELECT txid_current_if_assigned() IS NULL AND now() = statement_timestamp()") == "t", "a transaction is open"


@pytest.mark.parametrize("hidden", ("SELECT 1; BEGIN; SELECT 2", "BEGIN; SELECT 1; COMMIT; BEGIN", "DO $$BEGIN END$$; START TRANSACTION"))
def test_statement_mode_hidden_begin(pooler, hidden):
    """What cannot be seen beforehand is noticed afterwards: nobody keeps a server by it, and the next client is in no transaction."""
    one = pooler(pooler_mode="statement", default_pool_size=1)
    wire, other = one.connect(), one.connect()
    wire.send(query(hidden))
    try:
        wire.read_ready()
    except wireclient.Closed:
        pass
    for _ in range(3):
        assert other.one("SELECT txid_current_if_assigned() IS NULL AND now() = statement_timestamp()") == "t"


def test_statement_mode_shares_after_each_statement(pooler):
    one = pooler(pooler_mode="statement", default_pool_size=1)
    wires = crowd.all_connected(one, 5)
    for _ in range(5):
        crowd.ask_all(wires, "SELECT 1; SELECT 2")


# ---- cancel ----------------------------------------------------------------------------------------------------------


def test_cancel_from_any_core_hits_the_right_query(pooler, postgres):
    one = pooler(default_pool_size=12, workers=4)
    wires = crowd.all_connected(one, 12)
    chance = random.Random(4711)
    for turn in range(4):
        for i, wire in enumerate(wires):
            wire.send(query("SELECT 'victim %d', pg_sleep(60)" % i))
        postgres.await_active("victim", len(wires))
        order = list(range(len(wires)))
        chance.shuffle(order)
        for i in order:
            wires[i].cancel()
            with pytest.raises(wireclient.ServerError) as caught:
                wires[i].rows(wires[i].read_ready())
            assert caught.value.sqlstate == "57014"
            order_left = order[order.index(i) + 1:]
            postgres.await_active("victim", len(order_left))


def test_cancel_with_a_wrong_key(pooler, postgres):
    one = pooler(default_pool_size=2)
    wire = one.connect()
    wire.send(query("SELECT 'wrong_key', pg_sleep(60)"))
    postgres.await_active("wrong_key")
    wrong = bytes(b ^ 0x55 for b in wire.secret)
    assert wireclient.send_cancel(one.address, wire.pid, wrong) == b""
    assert wireclient.send_cancel(one.address, wire.pid + 1, wire.secret) == b""
    assert wireclient.send_cancel(one.address, -1, b"\xff\xff\xff\xff") == b""
    assert wireclient.send_cancel(one.address, 0, b"\0\0\0\0") == b""
    assert wire.silent(0.3)
    wire.cancel()
    wire.read_ready()


def test_cancel_of_what_is_over(pooler):
    """The server connection has gone to somebody else in the meantime: that one must not be hit."""
    one = pooler(default_pool_size=1)
    first, second = one.connect(), one.connect()
    for _ in range(20):
        assert first.one("SELECT 1") == "1"
        second.send(query("SELECT 'not to be cancelled', pg_sleep(0.05)"))
        first.cancel()
        assert second.rows(second.read_ready())[0][0] == "not to be cancelled"


def test_cancel_of_a_waiting_client(pooler, postgres):
    """It hits nobody else; the client is told 57014, or stays in the queue and is served."""
    one = pooler(default_pool_size=1)
    holder, waiter = one.connect(), one.connect()
    holder.send(query("SELECT 'holder', pg_sleep(1.0)"))
    postgres.await_active("holder")
    waiter.send(query("SELECT 'waiter'"))
    time.sleep(0.05)
    waiter.cancel()
    assert holder.rows(holder.read_ready())[0][0] == "holder"
    try:
        assert waiter.rows(waiter.read_ready()) == [["waiter"]]
    except wireclient.ServerError as error:
        assert error.sqlstate == "57014"
    assert waiter.one("SELECT 'again'") == "again"


def test_cancel_race_with_the_end_of_queries(pooler):
    """Cancels that come at any moment of short queries: each statement is answered or cancelled, and its neighbours are never."""
    one = pooler(default_pool_size=2, workers=4)
    victim, bystander = one.connect(), one.connect()
    chance = random.Random(1)
    cancelled = 0
    for turn in range(1200):
        if turn >= 60 and cancelled:
            break
        seconds = 0.01 * (1 + turn // 60)  # where cancels take longer than the queries
        victim.send(query("SELECT pg_sleep(%g)" % seconds))
        bystander.send(query("SELECT pg_sleep(%g)" % (seconds * 2)))
        time.sleep(chance.random() * seconds * 1.5)
        victim.cancel()
        try:
            victim.rows(victim.read_ready())
        except wireclient.ServerError as error:
            assert error.sqlstate == "57014"
            cancelled += 1
        bystander.rows(bystander.read_ready())
    assert cancelled, "no cancel ever arrived"


def test_many_cancels_at_once(pooler, postgres):
    one = pooler(default_pool_size=2)
    wire, other = one.connect(), one.connect()
    wire.send(query("SELECT 'many_cancels', pg_sleep(60)"))
    postgres.await_active("many_cancels")
    cancels = []
    for _ in range(50):
        connection = one.wire()
        connection.send(wireclient.untyped_packet(wireclient.CANCEL_REQUEST, struct.pack("!i", wire.pid) + wire.secret))
        cancels.append(connection)
    for connection in cancels:
        assert connection.read_to_end() == []
    with pytest.raises(wireclient.ServerError):
        wire.rows(wire.read_ready())
    for _ in range(10):
        assert other.one("SELECT 1") == "1"


# ---- timeouts --------------------------------------------------------------------------------------------------------


def test_client_idle_timeout(pooler):
    one = pooler(client_idle_timeout=2000)
    busy, idle = one.connect(), one.connect()
    began = time.monotonic()
    while time.monotonic() - began < 3:
        busy.ask("SELECT 1")
        time.sleep(0.05)
    messages = idle.read_to_end()
    assert [kind for kind, _ in messages] == [b"E"]
    fields = wireclient.error_fields(messages[0][1])
    assert fields["S"] == "FATAL"
    if harness.TARGET == "pgring":
        assert (fields["C"], fields["M"]) == ("57P05", "disconnecting idle client")


def test_client_idle_in_transaction_timeout(pooler, postgres):
    postgres.sql("SELECT wire_reset()")
    one = pooler(client_idle_in_transaction_timeout=400, default_pool_size=1)
    idle = one.connect()
    idle.ask("BEGIN; INSERT INTO lines (line) VALUES ('lost')")
    messages = idle.read_to_end()
    assert [kind for kind, _ in messages] == [b"E"]
    fields = wireclient.error_fields(messages[0][1])
    assert fields["S"] == "FATAL"
    if harness.TARGET == "pgring":
        assert (fields["C"], fields["M"]) == ("57P05", "disconnecting idle in transaction client")
    other = one.connect()
    assert other.one("SELECT count(*) FROM lines") == "0"
    other.ask("BEGIN; SELECT pg_sleep(0.6); COMMIT")  # a running statement is not idle


def test_query_timeout(pooler):
    one = pooler(query_timeout=1500, default_pool_size=1)
    wire = one.connect()
    began = time.monotonic()
    wire.send(query("SELECT pg_sleep(600)"))
    messages = wire.read_to_end()
    assert time.monotonic() - began < harness.at_most(2.5)
    fields = wireclient.error_fields(messages[-1][1])
    assert fields["S"] == "FATAL"
    if harness.TARGET == "pgring":
        assert (fields["C"], fields["M"]) == ("58000", "query timeout")
    assert one.connect().one("SELECT 1") == "1"


# ---- load ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_1000_clients_on_20_servers(pooler, postgres):
    one = pooler(default_pool_size=20, auth_type="trust", checkout_timeout=30000)
    wires = crowd.all_connected(one, 1000, timeout=60)

    def script(client, turn):
        if client % 3 == 0:
            return ["BEGIN", "SELECT %d" % turn, "COMMIT"]
        return ["SELECT id, name FROM items WHERE id = %d" % (turn % 5 + 1)]

    done = crowd.work_through(wires, script, 10)
    assert done == sum((3 if i % 3 == 0 else 1) * 10 for i in range(1000))
    assert len(postgres.server_pids(USER)) <= 20


@pytest.mark.pgring_only
def test_clients_are_spread_over_the_cores(pooler):
    """40 equal clients: no core does much more than its share of the work."""
    one = pooler(default_pool_size=8, workers=2)
    wires = crowd.all_connected(one, 40)
    crowd.ask_all(wires, "SELECT 1")
    before = one.cpu_ns_of_threads()
    for _ in range(100):
        crowd.ask_all(wires, "SELECT {i}")
    used = sorted((ns - before.get(thread, 0) for thread, ns in one.cpu_ns_of_threads().items()), reverse=True)
    assert used[1] > used[0] * 0.25, "the busiest threads worked %d and %d us" % (used[0] // 1000, used[1] // 1000)


def test_everybody_gets_the_own_answers(pooler):
    """Many clients, few servers, answers that carry the name of the one who asked."""
    one = pooler(default_pool_size=3, workers=4)
    wires = crowd.all_connected(one, 40)
    for turn in range(15):
        for i, wire in enumerate(wires):
            wire.send(b"".join(query("SELECT '%d/%d/%d', repeat('x', %d)" % (i, turn, k, (i * 37 + k * 1009) % 9000)) for k in range(3)))
        for i, wire in enumerate(wires):
            rows = wire.rows(wire.read_ready(3))
            assert [row[0] for row in rows] == ["%d/%d/%d" % (i, turn, k) for k in range(3)]
            assert [len(row[1]) for row in rows] == [(i * 37 + k * 1009) % 9000 for k in range(3)]


def test_connect_and_leave_500_times(pooler):
    one = pooler(default_pool_size=3, auth_type="trust")
    before = None
    for i in range(500):
        wire = one.connect()
        assert wire.one("SELECT %d" % i) == str(i)
        wire.close()
        if i == 100:
            before = one.rss_kb()
    assert one.rss_kb() - before < (65536 if harness.TARGET == "pgring" and harness.binary_is_sanitized() else 8192), "memory grows with every connection"


# ---- slow readers ----------------------------------------------------------------------------------------------------

BIG_ROWS, BIG_ROW = 20000, 10000


@pytest.mark.parametrize("workers", (1, harness.WORKERS))
def test_slow_reader_stops_only_itself(pooler, workers):
    """It asks for 200 MB and does not read. The others go on, and the pooler's memory does not grow with what nobody reads."""
    one = pooler(default_pool_size=3, workers=workers)
    slow = one.connect()
    others = crowd.all_connected(one, 4)
    crowd.ask_all(others, "SELECT 1")
    before = one.rss_kb()
    slow.send_blindly(query("SELECT g, repeat('x', %d) FROM generate_series(1, %d) g" % (BIG_ROW, BIG_ROWS)))
    began, longest = time.monotonic(), 0
    while time.monotonic() - began < 1.5:
        longest = max([longest] + [seconds for _, _, seconds in crowd.ask_all(others, "SELECT {i}")])
    assert longest < harness.at_most(0.5), "somebody waited %.2f s" % longest
    if not (harness.TARGET == "pgring" and harness.binary_is_sanitized()):
        assert one.rss_kb() - before < 65536, "memory grew by %d kB" % (one.rss_kb() - before)
    one.must_rest(0.4)
    slow.timeout = 60
    count = size = 0
    while True:
        kind, body = slow.read()
        if kind == b"D":
            count += 1
            size += len(body)
        if kind == b"Z":
            break
    assert count == BIG_ROWS and size > BIG_ROWS * BIG_ROW


def test_slow_server_stops_only_its_client(pooler):
    """The server does not read what a client sends (it sleeps); the others go on."""
    one = pooler(default_pool_size=3)
    wire = one.connect()
    others = crowd.all_connected(one, 4)
    wire.send(query("SELECT pg_sleep(600)"))
    before = one.rss_kb()
    huge = query("SELECT length('" + "x" * (1 << 20) + "')")
    sent = 0
    for _ in range(100):
        while sent < len(huge):
            taken = wire.send_blindly(huge[sent:])
            if not taken:
                break
            sent += taken
        if sent < len(huge):
            break
        sent = 0
    longest = max(seconds for _ in range(20) for _, _, seconds in crowd.ask_all(others, "SELECT {i}"))
    assert longest < harness.at_most(0.5)
    if not (harness.TARGET == "pgring" and harness.binary_is_sanitized()):
        assert one.rss_kb() - before < 65536
    wire.drop()
    crowd.ask_all(others, "SELECT 1")


def test_idle_costs_nothing(pooler):
    one = pooler(default_pool_size=5)
    wires = crowd.all_connected(one, 50)
    crowd.ask_all(wires, "SELECT 1")
    time.sleep(0.3)
    one.must_rest(0.02)


# ---- end of the pooler -----------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
def test_sigterm_waits_for_transactions(pooler, postgres):
    """A transaction that is under way may end; new clients are refused."""
    postgres.sql("SELECT wire_reset()")
    one = pooler(shutdown_timeout=60000)
    wire, idle = one.connect(), one.connect()
    wire.ask("BEGIN; INSERT INTO lines (line) VALUES ('before')")
    one.process.signal(signal.SIGTERM)
    time.sleep(0.3)
    assert one.process.alive()
    wire.ask("INSERT INTO lines (line) VALUES ('after')")
    wire.ask("COMMIT")
    assert one.process.wait(5) == 0
    assert postgres.value("SELECT count(*) FROM lines") == "2"
    for messages in (idle.read_to_end(), wire.read_to_end()):
        assert all(wireclient.error_fields(body)["C"] == "57P01" for kind, body in messages if kind == b"E")


@pytest.mark.pgring_only
@pytest.mark.parametrize("number", ("SIGTERM", "SIGINT"))
def test_shutdown_timeout_is_a_bound(pooler, number):
    one = pooler(shutdown_timeout=500)
    wire = one.connect()
    wire.ask("BEGIN; SELECT 1")
    began = time.monotonic()
    one.process.signal(getattr(signal, number))
    assert one.process.wait() == 0
    assert time.monotonic() - began < harness.at_most(3)
    messages = wire.read_to_end()
    assert messages and wireclient.error_fields(messages[-1][1])["C"] == "57P01"
