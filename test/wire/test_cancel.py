"""Cancel requests: they end the query that was running when they came, and nothing else."""
import random
import socket
import struct
import threading
import time

import pytest

import crowd
import harness
import wireclient
from harness import wait_until
from wireclient import FLUSH, SYNC, bind, copy_data, execute, parse, query

pytestmark = pytest.mark.pgring_only

CANCELLED = ("ERROR", "57014", "canceling statement due to user request")


@pytest.fixture(params=(1, 4))
def cores(request):
    return request.param


def error(messages):
    for kind, body in messages:
        if kind == b"E":
            fields = wireclient.error_fields(body)
            return fields["S"], fields["C"], fields["M"]
    return None


def figures(one, show):
    """SHOW's rows as dictionaries."""
    with one.console() as console:
        console.send(query("SHOW " + show))
        messages = console.read_ready()
    columns = [c[0] for c in wireclient.row_description(next(body for kind, body in messages if kind == b"T"))]
    return [dict(zip(columns, row)) for row in wireclient.Wire.rows(messages)]


def counter(one, name):
    return sum(int(row[name]) for row in figures(one, "CORES"))


def await_waiting(one, count):
    """In the queue for a server."""
    wait_until(lambda: sum(int(row["cl_waiting"]) for row in figures(one, "POOLS")) == count, 10, "%d waiting clients" % count)


def ask_cancel(wire):
    """A cancel request that has been sent and not yet been answered: the connection it came on."""
    other = wireclient.Wire(wire.address)
    other.send(wireclient.untyped_packet(wireclient.CANCEL_REQUEST, struct.pack("!i", wire.pid) + wire.secret))
    return other


class SlowPostmaster:
    """Stands between pgring and the server, and holds cancel requests back until it is told to let them through."""

    def __init__(self, server):
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.listener.getsockname()
        self.open = threading.Event()
        self.held = 0
        self.most = 0
        self.total = 0
        self.lock = threading.Lock()
        harness.serve_each(self.listener, self._serve)

    def _serve(self, sock):
        try:
            first = sock.recv(65536)
            is_cancel = len(first) >= 8 and struct.unpack_from("!i", first, 4)[0] == wireclient.CANCEL_REQUEST
            if is_cancel:
                with self.lock:
                    self.held += 1
                    self.total += 1
                    self.most = max(self.most, self.held)
                self.open.wait(90)
            with socket.create_connection((self.server.host, self.server.port)) as up:
                up.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                up.sendall(first)
                back = threading.Thread(target=self._pump, args=(up, sock), daemon=True)
                back.start()
                if not is_cancel:
                    self._pump(sock, up)
                back.join(90)
        except OSError:
            pass
        finally:
            if "is_cancel" in locals() and is_cancel:
                with self.lock:
                    self.held -= 1
            sock.close()

    @staticmethod
    def _pump(source, target):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                target.sendall(data)
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def await_held(self):
        wait_until(lambda: self.held > 0, what="a cancel request on its way")

    def database(self):
        return harness.database_row(self.server, host=self.host, port=self.port)


@pytest.fixture
def slow(postgres):
    between = SlowPostmaster(postgres)
    yield between
    between.open.set()
    between.listener.close()


# ---- what it ends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", (query("SELECT 'victim', pg_sleep(60)"),
                                      parse("SELECT 'victim', pg_sleep(60)") + bind() + execute() + SYNC), ids=("simple", "batch"))
def test_a_running_query(pooler, postgres, cores, request_):
    one = pooler(default_pool_size=2, workers=cores)
    wire = one.connect()
    for _ in range(3):
        wire.send(request_)
        postgres.await_active("victim")
        assert wire.cancel() == b""
        assert error(wire.read_ready()) == CANCELLED
        assert wire.one("SELECT 1") == "1"


def test_in_a_transaction(pooler, postgres, cores):
    """The transaction has failed, as after any error."""
    one = pooler(default_pool_size=1, workers=cores)
    wire = one.connect()
    wire.ask("BEGIN")
    wire.send(query("SELECT 'victim', pg_sleep(60)"))
    postgres.await_active("victim")
    wire.cancel()
    messages = wire.read_ready()
    assert error(messages) == CANCELLED and messages[-1] == (b"Z", b"E")
    wire.ask("ROLLBACK")
    assert wire.one("SELECT 1") == "1"


def test_only_the_first_of_a_pipeline(pooler, postgres, slow, cores):
    """However many requests there are: they mean what ran when they came."""
    one = pooler(default_pool_size=1, workers=cores, databases=[slow.database()])
    wire = one.connect()
    wire.send(query("SELECT 'victim', pg_sleep(60)") + query(wireclient.OUTLIVES_CANCEL) + query("SELECT 'third', pg_sleep(0.3)"))
    postgres.await_active("victim")
    asked = [ask_cancel(wire) for _ in range(10)]
    wait_until(lambda: sum(int(row["cl_active_cancel_req"]) + int(row["cl_waiting_cancel_req"])
                           for row in figures(one, "POOLS")) == len(asked), 4, "all requests")
    slow.open.set()
    assert error(wire.read_ready()) == CANCELLED
    assert wire.read_ready()[0] == (b"C", b"DO\0")
    assert [row[0] for row in wire.rows(wire.read_ready())] == ["third"]
    for other in asked:
        assert other.read_to_end() == []
    assert slow.total == 1


def test_an_idle_transaction(pooler, cores):
    one = pooler(default_pool_size=1, workers=cores)
    wire = one.connect()
    wire.ask("BEGIN; SELECT 1")
    for _ in range(10):
        assert wire.cancel() == b""
        assert wire.one("SELECT 2") == "2"
    wire.ask("COMMIT")
    assert counter(one, "cancels") == 0 and counter(one, "cancels_ignored") == 10


def test_a_batch_that_rests(pooler, postgres, cores):
    """Between two of its messages it runs nothing; while one runs, that is ended."""
    one = pooler(default_pool_size=1, workers=cores)
    wire = one.connect()
    wire.send(parse("SELECT 'first'") + bind() + execute() + FLUSH)
    wire.read_until(b"C")
    assert wire.cancel() == b""
    wire.send(parse("SELECT 'victim', pg_sleep(60)") + bind() + execute() + FLUSH)
    postgres.await_active("victim")
    assert wire.cancel() == b""
    wire.send(SYNC)
    assert error(wire.read_ready()) == CANCELLED
    assert wire.one("SELECT 1") == "1"


def test_copies(pooler, postgres, cores):
    one = pooler(default_pool_size=1, workers=cores)
    wire = one.connect()
    wire.ask("BEGIN; CREATE TEMPORARY TABLE victims (a int) ON COMMIT DROP")
    wire.send(query("COPY victims FROM STDIN") + copy_data("1\n"))
    wire.read_until(b"G")
    wire.cancel()
    wire.send(copy_data("2\n") + wireclient.COPY_DONE)
    messages = wire.read_ready()
    assert error(messages)[1] == "57014" and messages[-1] == (b"Z", b"E")
    wire.ask("ROLLBACK")


# ---- who waits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extended", (False, True))
def test_a_client_that_waits(pooler, postgres, cores, extended):
    """It leaves the queue without its query having run, and the session goes on."""
    postgres.sql("SELECT wire_reset()")
    one = pooler(default_pool_size=1, workers=cores)
    holder, waiter, patient = crowd.all_connected(one, 3)
    holder.ask("BEGIN; SELECT 1")
    insert = "INSERT INTO lines (line) VALUES ('%s')"
    waiter.send(parse(insert % "not run") + bind() + execute() + SYNC if extended else query(insert % "not run"))
    await_waiting(one, 1)
    patient.send(query(insert % "run"))
    await_waiting(one, 2)
    assert waiter.cancel() == b""
    messages = waiter.read_ready()
    assert error(messages) == CANCELLED and messages[-1] == (b"Z", b"I")
    holder.ask("COMMIT")
    patient.rows(patient.read_ready())
    assert waiter.one("SELECT 'goes on'") == "goes on"
    assert postgres.sql("SELECT line FROM lines") == [["run"]]


def test_a_client_that_waits_with_more(pooler, cores):
    """What it sent behind the request that was meant is done."""
    one = pooler(default_pool_size=1, workers=cores)
    holder, waiter = crowd.all_connected(one, 2)
    holder.ask("BEGIN; SELECT 1")
    waiter.send(query("SELECT 'first'") + query("SELECT 'second'"))
    await_waiting(one, 1)
    waiter.cancel()
    assert error(waiter.read_ready()) == CANCELLED
    assert waiter.silent(0.2)
    holder.ask("COMMIT")
    assert waiter.rows(waiter.read_ready()) == [["second"]]


def test_a_transaction_that_waits(pooler, cores):
    """BEGIN was answered before there was a server: the transaction has failed like on one."""
    one = pooler(default_pool_size=1, workers=cores)
    holder, waiter = crowd.all_connected(one, 2)
    waiter.ask("BEGIN")
    holder.ask("BEGIN; SELECT 1")
    waiter.send(query("SELECT 'not run'"))
    await_waiting(one, 1)
    waiter.cancel()
    messages = waiter.read_ready()
    assert error(messages) == CANCELLED and messages[-1] == (b"Z", b"E")
    holder.ask("COMMIT")
    with pytest.raises(wireclient.ServerError) as caught:
        waiter.ask("SELECT 1")
    assert caught.value.sqlstate == "25P02"
    waiter.ask("ROLLBACK")
    assert waiter.one("SELECT 1") == "1"


def test_around_the_end_of_the_wait(pooler, postgres, cores):
    """At whatever moment: the query is cancelled or answered, and only ever its own."""
    one = pooler(default_pool_size=1, workers=cores)
    holder, waiter = crowd.all_connected(one, 2, parameters=[("application_name", "own")])
    holder, other = one.connect(), one.connect(parameters=[("application_name", "other")])
    chance = random.Random(7)
    seen = set()
    for _ in range(60):
        holder.send(query("SELECT pg_sleep(0.02)"))
        waiter.send(query("SELECT current_setting('application_name') FROM pg_sleep(0.01)"))
        other.send(query("SELECT current_setting('application_name') FROM pg_sleep(0.01)"))
        time.sleep(chance.random() * 0.05)
        waiter.cancel()
        messages = waiter.read_ready()
        seen.add(error(messages))
        assert error(messages) in (None, CANCELLED)
        if error(messages) is None:
            assert waiter.rows(messages) == [["own"]]
        holder.rows(holder.read_ready())
        assert other.rows(other.read_ready()) == [["other"]]
        assert waiter.one("SELECT current_setting('application_name')") == "own"
    assert CANCELLED in seen


# ---- late ones -----------------------------------------------------------------------------------------------------------


def test_who_asked_is_let_go_when_it_is_done(pooler, postgres, slow, cores):
    """As by PostgreSQL: whoever waited for it may send the next query without fear."""
    one = pooler(default_pool_size=1, workers=cores, databases=[slow.database()])
    wire = one.connect()
    wire.send(query("SELECT 'victim', pg_sleep(60)"))
    postgres.await_active("victim")
    asked = ask_cancel(wire)
    assert asked.silent(0.5)
    assert sum(int(row["cl_active_cancel_req"]) for row in figures(one, "POOLS")) == 1
    slow.open.set()
    assert asked.read_to_end() == []
    assert error(wire.read_ready()) == CANCELLED
    assert wire.one("SELECT 1") == "1"


def test_a_late_one_hits_nobody_else(pooler, postgres, slow, door, cores):
    """The server is not handed on before the request has arrived."""
    one = pooler(default_pool_size=1, workers=cores, databases=[slow.database()])
    first, second = crowd.all_connected(one, 2)
    first.send(door.query("'short'"))
    postgres.await_active("short")
    asked = ask_cancel(first)
    slow.await_held()
    door.open()
    assert first.rows(first.read_ready())[0][0] == "short"  # it was over before the request arrived
    second.send(query("SELECT 'not to be cancelled', pg_sleep(0.3)"))
    assert second.silent(0.5)
    slow.open.set()
    assert asked.read_to_end() == []
    assert second.rows(second.read_ready())[0][0] == "not to be cancelled"


def test_a_late_one_does_not_hit_the_next_query(pooler, postgres, slow, door, cores):
    """Nor of the same client, which keeps its server: the next one waits."""
    one = pooler(default_pool_size=1, workers=cores, databases=[slow.database()], pooler_mode="session")
    wire = one.connect()
    wire.send(door.query("'short'"))
    postgres.await_active("short")
    asked = ask_cancel(wire)
    slow.await_held()
    door.open()
    assert wire.rows(wire.read_ready())[0][0] == "short"
    wire.send(query("SELECT 'next', pg_sleep(0.3)") + query("SELECT 'after that'"))
    assert wire.silent(0.5)
    slow.open.set()
    assert asked.read_to_end() == []
    assert wire.rows(wire.read_ready())[0][0] == "next"
    assert wire.rows(wire.read_ready())[0][0] == "after that"


def test_a_query_that_waits_for_a_late_one(pooler, postgres, slow, door, cores):
    """It can be cancelled, too, without having run; a transaction fails with it."""
    one = pooler(default_pool_size=1, workers=cores, databases=[slow.database()])
    wire = one.connect()
    wire.ask("BEGIN")
    wire.send(door.query("'short'"))
    postgres.await_active("short")
    asked = ask_cancel(wire)
    slow.await_held()
    door.open()
    assert wire.rows(wire.read_ready())[0][0] == "short"
    wire.send(query("SELECT 'not run', pg_sleep(60)"))
    assert wire.silent(0.3)
    assert wire.cancel() == b""
    slow.open.set()
    assert asked.read_to_end() == []
    messages = wire.read_ready()
    assert error(messages) == CANCELLED and messages[-1] == (b"Z", b"E")
    wire.ask("ROLLBACK")
    assert wire.one("SELECT 1") == "1"


def test_one_that_never_arrives(pooler, postgres, slow, door, cores):
    """After five seconds nobody waits for it any more; the server is closed, so that it hits nobody should it come yet."""
    one = pooler(default_pool_size=1, workers=cores, databases=[slow.database()], checkout_timeout=30000)
    first, second = crowd.all_connected(one, 2)
    first.send(door.query("'short', pg_backend_pid()"))
    postgres.await_active("short")
    began = time.monotonic()
    asked = ask_cancel(first)
    slow.await_held()
    door.open()
    pid = int(first.rows(first.read_ready())[0][1])
    assert second.server_pid() != pid
    assert time.monotonic() - began > 2
    assert asked.read_to_end() == []


def test_whose_client_has_left(pooler, postgres, slow, cores):
    """It asks for a cancel and goes, as people do with Ctrl-C. Neither the cleaning nor the next client is hit."""
    slow.open.set()
    one = pooler(default_pool_size=1, workers=cores, databases=[slow.database()])
    other = one.connect()
    for i in range(15):
        wire = one.connect()
        wire.ask("SET application_name = 'left behind'; BEGIN; SELECT 1")
        wire.send(query("SELECT 'leaver', pg_sleep(%s)" % (60 if i % 2 else 0.002)))
        if i % 2:
            postgres.await_active("leaver")
        asked = ask_cancel(wire)
        if i % 2:
            asked.read_to_end()  # else it may come after its client has left, and mean nobody
        wire.drop(i % 3 == 0)
        for _ in range(3):
            assert other.one("SELECT current_setting('application_name') FROM pg_sleep(0.005)") == ""
        assert asked.eof or asked.read_to_end() == []


# ---- many ----------------------------------------------------------------------------------------------------------------


def test_many_at_once_starve_nobody(pooler, postgres, slow, cores):
    """Each of 60 clients runs its query on a server of its own, and 5 requests ask for its cancel at once: there are at most 8
    connections for them per core, all are served in turn, and who works meanwhile does not wait."""
    one = pooler(default_pool_size=64, workers=cores, databases=[slow.database()], checkout_timeout=20000)
    wires = crowd.all_connected(one, 60)
    bystander = one.connect()
    for wire in wires:
        wire.send(query("SELECT 'crowd', pg_sleep(60)"))
    postgres.await_active("crowd", len(wires))
    asked = [ask_cancel(wire) for wire in wires for _ in range(5)]
    slow.await_held()
    for _ in range(20):
        assert bystander.one("SELECT 1") == "1"
    wait_until(lambda: sum(int(row["cl_active_cancel_req"]) + int(row["cl_waiting_cancel_req"]) for row in figures(one, "POOLS"))
               >= len(asked) * 0.8, what="most of the requests")
    pools = figures(one, "POOLS")
    assert 0 < sum(int(row["sv_active_cancel"]) for row in pools) <= 8 * cores
    assert slow.most <= 8 * cores
    slow.open.set()
    for wire in wires:
        assert error(wire.read_ready()) == CANCELLED
    for other in asked:
        assert other.read_to_end() == []
    assert bystander.one("SELECT 2") == "2"
    assert crowd.ask_all(wires, "SELECT {i}")


def test_requests_that_mean_nobody_are_let_go(pooler, cores):
    one = pooler(default_pool_size=1, workers=cores)
    wire = one.connect()
    for pid, secret in ((wire.pid, b"\0" * len(wire.secret)), (wire.pid + 1, wire.secret), (0, b"1234"), (-1, b"\xff" * 4),
                        (cores + 7 << 20, b"abcd")):
        assert wireclient.send_cancel(one.address, pid, secret) == b""
    assert counter(one, "cancels_ignored") == 5


# ---- queries that nobody waits for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ({"query_timeout": 2000}, {"transaction_timeout": 2000}, {"rollback_timeout": 400},
                                     {"connection_recovery": "drop"}), ids=lambda options: next(iter(options)))
def test_abandoned_queries_end(pooler, postgres, cores, options):
    """A server connection that is closed in the middle of a query does not leave that running on the server."""
    postgres.sql("CREATE SEQUENCE IF NOT EXISTS begun; GRANT ALL ON SEQUENCE begun TO PUBLIC; ALTER SEQUENCE begun RESTART")
    one = pooler(default_pool_size=1, workers=cores, **options)
    wire = one.connect()
    wire.ask("SELECT 1")
    wire.send(query("SELECT 'abandoned', nextval('begun'), pg_sleep(60)"))
    if "rollback_timeout" in options or "connection_recovery" in options:
        postgres.await_active("abandoned")
        wire.drop()
    else:
        assert error(wire.read_to_end())
    postgres.await_active("abandoned", 0)
    assert postgres.value("SELECT is_called FROM begun") == "t", "it never ran"
    assert one.connect().one("SELECT 1") == "1"
    wait_until(lambda: len(postgres.server_pids(harness.USER)) == 1, 10, "end of the closed connection")
