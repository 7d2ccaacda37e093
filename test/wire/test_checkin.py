"""What a client leaves behind is undone before the next one has its server connection, within rollback_timeout, or the connection is
closed; and it is counted. test_pool.py has more ways of leaving, test_hostile.py and test_crowds.py many clients at once."""
import collections
import contextlib
import os
import signal
import time

import pytest

import harness
from console import Console
from harness import DATABASE, USER, wait_until
from wireclient import FLUSH, TERMINATE, bind, copy_data, execute, parse, query

pytestmark = pytest.mark.pgring_only

INSERT = "INSERT INTO lines (line) VALUES ('left behind')"
SLOW_INSERT = "INSERT INTO lines (line) SELECT 'left behind' FROM pg_sleep(%s)"
ROWS = "SELECT repeat('x', 1000) FROM generate_series(1, 20000)"  # more than all buffers on the way hold

# What the next client looks at, and must see.
LOOK = (
    ("SELECT now() = statement_timestamp()", "t"),  # no transaction is open
    ("SELECT count(*) FROM lines", "0"),
    ("SELECT to_regclass('pg_temp.left_behind') IS NULL", "t"),
    ("SELECT current_user || ' ' || session_user", USER + " " + USER),
    ("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'", "0"),
    ("SELECT count(*) FROM pg_listening_channels()", "0"),
    ("SELECT count(*) FROM pg_prepared_statements WHERE from_sql", "0"),
    ("SELECT count(*) FROM pg_cursors WHERE name = 'left_behind'", "0"),
    ("SELECT current_setting('search_path')", '"$user", public'),
    ("SELECT current_setting('work_mem')", "4MB"),
    ("SELECT current_setting('application_name')", ""),
)


class Pool:
    """A pooler with one server connection, and its console."""

    def __init__(self, one):
        self.one = one
        self.console = Console(one.console())

    def row(self):
        return self.console.row("SHOW POOLS", database=DATABASE, user=USER)

    def counters(self):
        """The pool's; once nothing changes, the sums over the cores must be the same."""
        return wait_until(self._counters, 10, "the same figures of pool and cores")

    def _counters(self):
        pool, stats, cores = self.row(), self.console.row("SHOW STATS", database=DATABASE), self.console.ask("SHOW CORES")
        figures = {"out_of_sync": pool["out_of_sync"], "resyncs": pool["re_synced"], "force_closed": pool["force_closed"],
                   "rollbacks": stats["total_rollbacks"], "cleaned": stats["total_cleaned"]}
        figures = {name: int(value) for name, value in figures.items()}
        return figures if figures == {name: sum(int(row[name]) for row in cores) for name in figures} else None

    def look(self):
        """The process number of the server connection, which must be as new."""
        with self.one.connect() as other:
            for statement, expected in LOOK:
                assert other.one(statement) == expected, statement
            return other.server_pid()

    def await_none(self):
        """Until no client is left."""
        wait_until(lambda: self.row()["cl_active"] == "0", 10, "the end of the client")


@pytest.fixture(scope="module")
def pools(postgres):
    """A factory: pools(mode, recovery) is shared by the tests of this file."""
    kept = {}
    postgres.sql("GRANT pg_monitor TO " + USER)
    postgres.sql("SELECT wire_reset()")

    def get(mode="transaction", recovery="recover"):
        if (mode, recovery) not in kept:
            kept[mode, recovery] = Pool(harness.Pgring(postgres, general={
                "default_pool_size": 1, "pooler_mode": mode, "connection_recovery": recovery, "auth_type": "trust",
                "rollback_timeout": 60000, "checkout_timeout": 60000}).start())
        return kept[mode, recovery]

    yield get
    postgres.sql("REVOKE pg_monitor FROM " + USER)
    for pool in kept.values():
        pool.one.finish()


@pytest.fixture
def impatient(pooler):
    """One that gives up soon."""
    return Pool(pooler(default_pool_size=1, rollback_timeout=1000, checkout_timeout=60000, auth_type="trust"))


LEAVE = {"vanishes": lambda wire: wire.drop(), "resets": lambda wire: wire.drop(True), "says goodbye": lambda wire: wire.close()}

# What is sent, the message after which the client leaves, whether the server is in the middle of something then, and whether it is in a
# transaction at its end.
Step = collections.namedtuple("Step", "said awaited amid inside", defaults=(b"Z", False, False))
STEPS = {
    "transaction": Step(query("BEGIN; " + INSERT), inside=True),
    "failed_transaction": Step(query("BEGIN; " + INSERT + "; SELECT 1/0"), inside=True),
    "unread_rows": Step(query(ROWS), b"D", amid=True),
    "unread_rows_in_transaction": Step(query("BEGIN; " + INSERT + "; " + ROWS), b"D", amid=True, inside=True),
    "copy_in": Step(query("COPY lines (line) FROM STDIN") + copy_data("left behind\n"), b"G", amid=True),
    "copy_in_in_transaction": Step(query("BEGIN; " + INSERT + "; COPY lines (line) FROM STDIN") + copy_data("left behind\n"), b"G", amid=True, inside=True),
    "copy_out": Step(query("COPY (" + ROWS + ") TO STDOUT"), b"d", amid=True),
    "batch_without_sync": Step(parse(INSERT) + bind() + execute() + FLUSH, b"C", amid=True),
    "failed_batch_without_sync": Step(parse(INSERT) + bind() + execute() + parse("SELECT nonsense") + FLUSH, b"E", amid=True),
    "running_batch": Step(parse(SLOW_INSERT % 0.1) + FLUSH + bind() + execute() + parse(INSERT) + bind() + execute() + FLUSH, b"1", amid=True),
    "listen": Step(query("LISTEN left_behind")),
    "listen_in_transaction": Step(query("BEGIN; LISTEN left_behind"), inside=True),
    "temp_table": Step(query("CREATE TEMPORARY TABLE left_behind AS SELECT 1")),
    "cursor": Step(query("BEGIN; DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1; COMMIT")),
    "prepared": Step(query("PREPARE left_behind AS SELECT 1")),
    "lock": Step(query("SELECT pg_advisory_lock(4711)")),
    "lock_in_transaction": Step(query("BEGIN; SELECT pg_advisory_lock(4711); SELECT pg_advisory_xact_lock(4712)"), inside=True),
    "role": Step(query("SET ROLE pg_monitor")),
    "settings": Step(query("SET search_path = pg_catalog; SET work_mem = '8MB'; SELECT set_config('application_name', 'left', false)")),
    "everything": Step(query("SET work_mem = '8MB'; CREATE TEMPORARY TABLE left_behind AS SELECT 1; SELECT pg_advisory_lock(4711);"
                             "LISTEN left_behind; PREPARE left_behind AS SELECT 1; BEGIN; " + INSERT + "; SET LOCAL search_path = x; " + ROWS),
                       b"D", amid=True, inside=True),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_nothing_is_left(pools, mode, step):
    """The same server connection goes on."""
    pool, step = pools(mode), STEPS[step]
    pid, before = pool.look(), pool.counters()
    for how, leave in LEAVE.items():
        wire = pool.one.connect()
        wire.send(step.said)
        wire.read_until(step.awaited)
        leave(wire)
        assert pool.look() == pid, how
        after = pool.counters()
        grown = {name: after[name] - before[name] for name in after}
        if how != "says goodbye":  # who does is given what it asked for before, if it stays for that long
            assert grown["out_of_sync"] == step.amid, how
        assert grown["resyncs"] == grown["out_of_sync"] and grown["rollbacks"] == step.inside and grown["force_closed"] == 0, how
        before = after


@pytest.mark.parametrize("step", ("transaction", "failed_transaction", "unread_rows", "unread_rows_in_transaction", "copy_in", "batch_without_sync",
                                  "running_batch", "temp_table", "settings"))
@pytest.mark.parametrize("recovery", ("rollback_only", "drop"))
def test_other_recoveries(pools, recovery, step):
    """rollback_only closes what is in the middle of something, drop also what is in a transaction."""
    pool, step = pools(recovery=recovery), STEPS[step]
    pid, before = pool.look(), pool.counters()
    wire = pool.one.connect()
    wire.send(step.said)
    wire.read_until(step.awaited)
    wire.drop()
    closes = step.amid or (step.inside and recovery == "drop")
    assert (pool.look() != pid) == closes
    after = pool.counters()
    assert after["out_of_sync"] - before["out_of_sync"] == step.amid and after["resyncs"] == 0
    assert after["force_closed"] - before["force_closed"] == closes
    assert after["rollbacks"] - before["rollbacks"] == (step.inside and not closes)


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("recovery", ("recover", "rollback_only", "drop"))
def test_client_that_had_finished(pools, postgres, recovery, how):
    """Only pgring still asks what there is to know of the session. So nothing is out of step and nothing has to be undone."""
    pool = pools(recovery=recovery)
    pid, before = pool.look(), pool.counters()
    with postgres.connect_admin() as holder:
        holder.ask("BEGIN; LOCK TABLE pg_catalog.pg_depend")  # which is where it stands whether there are temporary tables
        wire = pool.one.connect()
        wire.ask("SELECT set_config('work_mem', '8MB', false) /* pg_temp */")
        postgres.await_active("pg_my_temp_schema")
        LEAVE[how](wire)
        pool.await_none()
        assert pool.row()["sv_tested"] == "1"
        holder.ask("ROLLBACK")
    assert pool.look() == pid
    assert pool.counters() == before


@pytest.mark.parametrize("waits", (True, False))
def test_goodbye_in_a_copy(pools, waits):
    """The session ends with its Terminate, not only with its connection: nobody will end the copy."""
    pool = pools()
    pid = pool.look()
    wire = pool.one.connect()
    said = query("COPY lines (line) FROM STDIN") + copy_data("left behind\n")
    if waits:
        wire.send(said)
        wire.read_until(b"G")
        wire.send(TERMINATE)
        assert wire.read_to_end() == []
    else:
        wire.send(said + TERMINATE)
        assert [kind for kind, _ in wire.read_to_end()] == [b"G"]
    assert pool.look() == pid


@pytest.mark.parametrize("recovery", ("recover", "drop"))
def test_half_a_message(pools, recovery):
    """Nobody knows how it goes on: the server connection is closed in any case."""
    pool = pools(recovery=recovery)
    pid, before = pool.look(), pool.counters()
    wire = pool.one.connect()
    wire.send(query("SELECT 1 /* %s */" % ("x" * (3 << 20)))[:-500000])
    wait_until(lambda: pool.row()["sv_active"] == "1", 10, "a server for a request that is too large to be kept")
    wire.drop()
    assert pool.look() != pid
    after = pool.counters()
    assert after["force_closed"] - before["force_closed"] == after["out_of_sync"] - before["out_of_sync"] == 1
    assert after["resyncs"] == before["resyncs"]


def test_servers_tell_what_was_rolled_back(pooler):
    """Of each connection, for as long as it lives."""
    pool = Pool(pooler(default_pool_size=2, auth_type="trust"))
    wires = [pool.one.connect(), pool.one.connect()]
    pids = []
    for wire in wires:
        wire.ask("BEGIN; SELECT 1")
        pids.append(str(wire.server_pid()))
    wires[0].ask("ROLLBACK")  # its own
    wires[1].drop()
    pool.look()
    wait_until(lambda: pool.row()["sv_idle"] == "2", 10, "the roll-back")
    rows = {row["remote_pid"]: row["rollbacks"] for row in pool.console.ask("SHOW SERVERS")}
    assert rows == {pids[0]: "0", pids[1]: "1"}


# ---- rollback_timeout ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stopped(postgres, pid, state):
    """A backend that hangs, from when it waits for its client on."""
    wait_until(lambda: postgres.value("SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND state = '%s' AND wait_event = 'ClientRead'"
                                      % (pid, state)) == "1", 10, "a backend that waits")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def assert_given_up(pool, began, out_of_sync):
    wait_until(lambda: pool.row()["force_closed"] == "1", 20, "the end of the patience")
    assert time.monotonic() - began >= 0.9
    after = pool.counters()
    assert after["out_of_sync"] == out_of_sync and after["resyncs"] == 0


def await_gone(postgres, pid):
    wait_until(lambda: pid not in postgres.server_pids(), 10, "the end of the server connection that was given up")


@pytest.mark.parametrize("said", ("SELECT 'left behind' FROM pg_sleep(600)", "BEGIN; " + SLOW_INSERT % 600), ids=("query", "transaction"))
def test_what_runs_too_long(impatient, postgres, said):
    """It is closed, and does not run on."""
    pid = impatient.look()
    wire = impatient.one.connect()
    wire.send(query(said))
    postgres.await_active("pg_sleep(600)")
    began = time.monotonic()
    wire.drop()
    assert impatient.look() != pid
    assert_given_up(impatient, began, 1)
    postgres.await_active("pg_sleep(600)", 0)
    await_gone(postgres, pid)


@pytest.mark.parametrize("said, state", (("BEGIN; " + INSERT, "idle in transaction"), ("CREATE TEMPORARY TABLE left_behind AS SELECT 1", "idle"),
                                         ("SELECT pg_advisory_lock(4711)", "idle")), ids=("rollback", "discard", "unlock"))
def test_cleaning_that_hangs(impatient, postgres, said, state):
    """The next client does not wait for a server that does not answer."""
    pid = impatient.look()
    wire = impatient.one.connect()
    wire.ask(said + "; SELECT 1")
    if state == "idle":
        wait_until(lambda: any(row["pinned"] for row in impatient.console.ask("SHOW CLIENTS")), 10, "the answer what was left")
    with stopped(postgres, pid, state):
        began = time.monotonic()
        wire.drop()
        assert impatient.look() != pid
        assert_given_up(impatient, began, 0)
    await_gone(postgres, pid)
    assert postgres.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == postgres.sql("SELECT count(*) FROM lines") == [["0"]]


def test_question_that_hangs(impatient, postgres):
    """So does the question what the client left, once that is gone."""
    pid = impatient.look()
    with postgres.connect_admin() as holder:
        holder.ask("BEGIN; LOCK TABLE pg_catalog.pg_depend")
        wire = impatient.one.connect()
        wire.ask("SELECT 1 /* pg_temp */")
        postgres.await_active("pg_my_temp_schema")
        began = time.monotonic()
        wire.drop()
        assert_given_up(impatient, began, 0)
        postgres.await_active("pg_my_temp_schema", 0)
        await_gone(postgres, pid)
    assert impatient.look() != pid
