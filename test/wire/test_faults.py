"""What clients see while servers are wrong, gone, killed or back again."""
import base64
import os
import resource
import signal
import socket
import struct
import threading
import time

import pytest

import crowd
import harness
import wireclient
from console import Console
from harness import DATABASE, PASSWORD, USER, database_row, user_row, wait_until
from wireclient import SYNC, bind, copy_data, error_fields, execute, message, parse, query, text


def first_error(one, user=USER, password=PASSWORD, database=DATABASE, sql="SELECT 1"):
    """Logs in and asks; the ErrorResponse that comes on the way, wherever it comes. A connection that just ends is a failure."""
    wire = one.wire()
    try:
        wire.login(user, password, database)
        wire.ask(sql)
    except wireclient.ServerError as error:
        return error
    finally:
        wire.drop()
    raise AssertionError("it worked")


# ---- servers that cannot be used -----------------------------------------------------------------------------------------


def test_server_is_down(pooler, postgres):
    one = pooler(databases=[database_row(postgres, port=harness.free_port())])
    began = time.monotonic()
    error = first_error(one)
    assert time.monotonic() - began < harness.at_most(3)
    assert "refused" in error.text.lower() or "refused" in error.fields.get("D", "").lower(), error


def test_server_user_has_another_password(pooler, postgres):
    users = [{"name": USER, "password": PASSWORD, "database": DATABASE, "server_password": "wrong"}]
    if harness.TARGET != "pgring":
        users = [user_row(USER, password="wrong")]
    one = pooler(users=users)
    error = first_error(one, password=users[0]["password"])
    assert "password authentication failed" in error.text + error.fields.get("D", ""), error


def test_server_database_does_not_exist(pooler, postgres):
    one = pooler(databases=[database_row(postgres, database_name="nowhere")])
    error = first_error(one)
    assert 'database "nowhere" does not exist' in error.text + error.fields.get("D", ""), error


@pytest.mark.pgring_only
def test_server_user_does_not_exist(pooler, postgres):
    one = pooler(users=[user_row(USER, server_user="nobody", server_password="x")])
    error = first_error(one)
    assert "nobody" in error.text + error.fields.get("D", ""), error


@pytest.mark.slow
def test_host_name_does_not_exist(pooler, postgres):
    one = pooler(databases=[database_row(postgres, host="no-such-host.invalid")], checkout_timeout=15000, connect_timeout=12000)
    error = first_error(one)
    assert "no-such-host.invalid" in error.text + error.fields.get("D", "") or "resolve" in error.text or harness.TARGET != "pgring", error


def test_broken_database_does_not_harm_others(pooler, postgres):
    """One database is down, with many clients that want it; the other one is served at once."""
    one = pooler(databases=[database_row(postgres), database_row(postgres, "down", port=harness.free_port())],
                 users=[{"name": USER, "password": PASSWORD, "databases": [DATABASE, "down"]}])
    good = one.connect()
    assert good.one("SELECT 1") == "1"
    bad = []
    for _ in range(20):
        wire = one.wire()
        wire.send(wireclient.startup_packet([("user", USER), ("database", "down")]))
        bad.append(wire)
    for _ in range(50):
        began = time.monotonic()
        assert good.one("SELECT 1") == "1"
        assert time.monotonic() - began < harness.at_most(0.5)
    assert one.connect().one("SELECT 1") == "1"


class FakeServer:
    """A server that does what a PostgreSQL would not. behave(connection) runs in a thread of its own for each connection."""

    def __init__(self, behave, port=0):
        self.behave = behave
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        harness.serve_each(self.listener, self._serve)

    def _serve(self, connection):
        self.connections.append(connection)
        try:
            self.behave(connection)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def fake(request):
    made = []

    def make(behave, port=0):
        made.append(FakeServer(behave, port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def read_startup(connection):
    """The startup packet, after declining TLS as often as it is asked for."""
    while True:
        length, code = struct.unpack("!ii", receive(connection, 8))
        rest = receive(connection, length - 8)
        if code in (wireclient.SSL_REQUEST, wireclient.GSSENC_REQUEST):
            connection.sendall(b"N")
            continue
        return code, rest


def receive(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise OSError("closed")
        data += more
    return data


def welcome(connection, key=message(b"K", struct.pack("!ii", 4711, 42))):
    read_startup(connection)
    parameters = (("server_version", "15.0"), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"), ("DateStyle", "ISO, MDY"), ("TimeZone", "UTC"),
                  ("IntervalStyle", "postgres"), ("standard_conforming_strings", "on"), ("integer_datetimes", "on"), ("application_name", ""),
                  ("is_superuser", "off"), ("session_authorization", USER))
    connection.sendall(message(b"R", struct.pack("!i", 0)) + b"".join(message(b"S", text(k) + text(v)) for k, v in parameters)
                       + key + message(b"Z", b"I"))


def next_message(connection):
    kind, length = struct.unpack("!ci", receive(connection, 5))
    return kind, receive(connection, length - 4)


def await_query(connection, marker=b"fake"):
    """Answers housekeeping (checks, SET ...) like a server would until a statement with the marker comes."""
    while True:
        kind, body = next_message(connection)
        if kind == b"X":
            raise OSError("said goodbye")
        if kind == b"Q" and marker not in body:
            tag = body.strip(b"\0 ;").split(b" ")[0].upper()
            connection.sendall((message(b"C", tag + b"\0") if tag else message(b"I", b"")) + message(b"Z", b"I"))
        elif marker in body or kind == b"P":
            return kind, body


ROW_DESCRIPTION = message(b"T", struct.pack("!h", 1) + text("a") + struct.pack("!IhIhih", 0, 0, 25, -1, -1, 0))


def row(value):
    return message(b"D", struct.pack("!hi", 1, len(value)) + value)


def fake_database(server):
    return [{"name": DATABASE, "host": "127.0.0.1", "port": server.port}]


def silent_server(connection):
    time.sleep(30)


def garbage_server(connection):
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
    time.sleep(1)


def closing_server(connection):
    connection.close()


def closing_after_startup(connection):
    read_startup(connection)
    connection.close()


def refusing_server(connection):
    read_startup(connection)
    connection.sendall(message(b"E", b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"))
    connection.close()


def not_now(connection):
    read_startup(connection)
    connection.sendall(message(b"E", b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"))
    connection.close()


def healthy_server(connection):
    welcome(connection)
    while True:
        await_query(connection)
        connection.sendall(ROW_DESCRIPTION + row(b"fake") + message(b"C", text("SELECT 1")) + message(b"Z", b"I"))


def unknown_authentication(connection):
    read_startup(connection)
    connection.sendall(message(b"R", struct.pack("!i", 7)))
    time.sleep(5)


def endless_message(connection):
    read_startup(connection)
    connection.sendall(b"R" + struct.pack("!i", (1 << 31) - 1) + bytes(1 << 20))
    time.sleep(5)


def short_length(connection):
    read_startup(connection)
    connection.sendall(b"R" + struct.pack("!i", 2))
    time.sleep(5)


def scram_wrong_signature(connection):
    """It does not know the password and hopes that nobody checks."""
    read_startup(connection)
    connection.sendall(message(b"R", struct.pack("!i", 10) + text("SCRAM-SHA-256") + b"\0"))
    _, body = next_message(connection)
    nonce = body.split(b"r=")[1].decode()
    connection.sendall(message(b"R", struct.pack("!i", 11) + ("r=%sserver,s=c2FsdHNhbHRzYWx0,i=4096" % nonce).encode()))
    next_message(connection)
    connection.sendall(message(b"R", struct.pack("!i", 12) + b"v=" + b"A" * 43 + b"=") + message(b"R", struct.pack("!i", 0)) + message(b"Z", b"I"))
    time.sleep(5)


def scram_other_nonce(connection):
    read_startup(connection)
    connection.sendall(message(b"R", struct.pack("!i", 10) + text("SCRAM-SHA-256") + b"\0"))
    next_message(connection)
    connection.sendall(message(b"R", struct.pack("!i", 11) + b"r=somebodyelses,s=c2FsdHNhbHRzYWx0,i=4096"))
    time.sleep(5)


def scram_huge_iterations(connection):
    """A server that wants to keep us busy for a week."""
    read_startup(connection)
    connection.sendall(message(b"R", struct.pack("!i", 10) + text("SCRAM-SHA-256") + b"\0"))
    _, body = next_message(connection)
    nonce = body.split(b"r=")[1].decode()
    connection.sendall(message(b"R", struct.pack("!i", 11) + ("r=%sserver,s=c2FsdHNhbHRzYWx0,i=2147483647" % nonce).encode()))
    time.sleep(5)


def sasl(code, data=b""):
    return message(b"R", struct.pack("!i", code) + data)


def scram_challenge(connection):
    """Begins as a server should, up to the challenge, which is returned."""
    read_startup(connection)
    connection.sendall(sasl(10, text("SCRAM-SHA-256") + b"\0"))
    _, body = next_message(connection)
    return sasl(11, b"r=" + body.split(b"r=")[1] + b"server,s=c2FsdHNhbHRzYWx0,i=4096")


def scram_challenge_twice(connection):
    connection.sendall(2 * scram_challenge(connection))
    time.sleep(5)


def scram_challenge_unasked(connection):
    read_startup(connection)
    connection.sendall(2 * sasl(11, b"r=server,s=c2FsdHNhbHRzYWx0,i=4096"))
    time.sleep(5)


def scram_final_unasked(connection):
    read_startup(connection)
    connection.sendall(sasl(12, b"v=" + b"A" * 43 + b"="))
    time.sleep(5)


def scram_final_instead_of_challenge(connection):
    scram_challenge(connection)
    connection.sendall(sasl(12, b"v=" + b"A" * 43 + b"="))
    time.sleep(5)


def scram_without_final(connection):
    """It does not know the password either, and leaves the signature out."""
    connection.sendall(scram_challenge(connection))
    next_message(connection)
    connection.sendall(sasl(0) + message(b"Z", b"I"))
    time.sleep(5)


def authentication_after_ok(connection):
    read_startup(connection)
    connection.sendall(sasl(0) + sasl(3))
    time.sleep(5)


BAD_SERVERS = {f.__name__: f for f in (silent_server, garbage_server, closing_server, closing_after_startup, refusing_server, unknown_authentication,
                                       endless_message, short_length, scram_wrong_signature, scram_other_nonce, scram_huge_iterations,
                                       scram_challenge_twice, scram_challenge_unasked, scram_final_unasked, scram_final_instead_of_challenge,
                                       scram_without_final, authentication_after_ok)}


def is_served(one, database):
    try:
        with wireclient.connect(one.address, USER, PASSWORD, database) as wire:
            return wire.one("SELECT 'fake'") == "fake"
    except wireclient.ServerError:
        return False


@pytest.mark.pgring_only
@pytest.mark.parametrize("kind", BAD_SERVERS)
def test_server_that_is_none(pooler, postgres, fake, kind):
    """The client gets an error in time, and a good database of the same pooler is served meanwhile. When it has become a server, it is
    used within a second, behind the attempt that is under way."""
    server = fake(BAD_SERVERS[kind])
    one = pooler(databases=[{"name": "bad", "host": "127.0.0.1", "port": server.port}, database_row(postgres)], connect_timeout=3000, checkout_timeout=10000,
                 users=[{"name": USER, "password": PASSWORD, "databases": ["bad", DATABASE]}])
    good = one.connect()
    began = time.monotonic()
    error = first_error(one, database="bad")
    assert time.monotonic() - began < harness.at_most(6)
    assert error.sqlstate[:2] in ("08", "0A", "28", "53", "57", "58"), error
    if kind == "refusing_server":
        assert "too many clients" in error.text + error.fields.get("D", ""), error
    began = time.monotonic()
    assert good.one("SELECT 1") == "1"
    assert time.monotonic() - began < harness.at_most(1)
    if kind == "endless_message":
        assert one.rss_kb() < 500000
    server.behave = healthy_server
    began = time.monotonic()
    harness.wait_until(lambda: is_served(one, "bad"), 3, "service after the repair")
    harness.measured("service after the repair, s", "%.2f" % (time.monotonic() - began))


def closes_before_answer(connection):
    pass


def closes_inside_a_row(connection):
    connection.sendall(ROW_DESCRIPTION + row(b"one") + row(b"x" * 1000)[:300])


def closes_between_rows(connection):
    connection.sendall(ROW_DESCRIPTION + row(b"one"))


def closes_with_fatal(connection):
    connection.sendall(ROW_DESCRIPTION + row(b"one") + message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"))


def closes_before_ready(connection):
    connection.sendall(ROW_DESCRIPTION + row(b"one") + message(b"C", text("SELECT 1")))


def sends_invalid_length(connection):
    connection.sendall(ROW_DESCRIPTION + b"D" + struct.pack("!i", -1) + b"x" * 100)


def sends_impossible_status(connection):
    connection.sendall(ROW_DESCRIPTION + row(b"one") + message(b"C", text("SELECT 1")) + message(b"Z", b"X"))


BREAKDOWNS = {f.__name__: f for f in (closes_before_answer, closes_inside_a_row, closes_between_rows, closes_with_fatal, closes_before_ready, sends_invalid_length,
                                      sends_impossible_status)}


@pytest.mark.pgring_only
@pytest.mark.parametrize("kind", BREAKDOWNS)
@pytest.mark.parametrize("protocol", ("simple", "extended"))
def test_server_breaks_down_in_an_answer(pooler, fake, kind, protocol):
    """The client never waits for ever and never takes half an answer for a whole one."""

    def behave(connection):
        welcome(connection)
        await_query(connection)
        BREAKDOWNS[kind](connection)
        time.sleep(0.05)
        connection.close()

    one = pooler(databases=fake_database(fake(behave)))
    wire = one.connect()
    wire.send(query("SELECT 'fake'") if protocol == "simple" else parse("SELECT 'fake'") + bind() + execute() + SYNC)
    messages = []
    try:
        while not messages or messages[-1][0] != b"Z":
            messages.append(wire.read())
    except wireclient.Closed:
        pass
    assert not (messages and messages[-1][0] == b"Z" and b"E" not in [k for k, _ in messages]), "a broken answer was made whole"
    assert any(k == b"E" for k, _ in messages) or len(wire.buf) > wire.at, "the connection ends without a word"


@pytest.mark.pgring_only
def test_server_speaks_while_idle(pooler, fake):
    """A notice on an idle connection of the pool is nobody's; a FATAL ends that connection and nobody is told."""
    spoken = threading.Event()

    def behave(connection):
        welcome(connection)
        while True:
            await_query(connection)
            connection.sendall(ROW_DESCRIPTION + row(b"fake") + message(b"C", text("SELECT 1")) + message(b"Z", b"I"))
            time.sleep(0.05)
            connection.sendall(message(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mfor nobody\0\0"))
            spoken.set()

    one = pooler(databases=fake_database(fake(behave)), default_pool_size=1)
    wire = one.connect()
    for _ in range(5):
        spoken.clear()
        wire.send(query("SELECT 'fake'"))
        assert [kind for kind, _ in wire.read_ready()] == [b"T", b"D", b"C", b"Z"]
        assert spoken.wait(harness.PATIENCE_S)
        assert wire.silent(0.05)


@pytest.mark.pgring_only
def test_server_without_a_cancel_key(pooler, fake):
    """A cancel request comes to nothing there, and neither does it when its client leaves; everybody else is served."""
    asked, goes_on = threading.Event(), threading.Event()

    def behave(connection):
        welcome(connection, key=b"")
        while True:
            await_query(connection)
            asked.set()
            assert goes_on.wait(harness.PATIENCE_S)
            connection.sendall(ROW_DESCRIPTION + row(b"fake") + message(b"C", text("SELECT 1")) + message(b"Z", b"I"))

    one = pooler(databases=fake_database(fake(behave)), rollback_timeout=200)
    wire = one.connect()
    wire.send(query("SELECT 'fake'"))
    assert asked.wait(harness.PATIENCE_S)
    wire.cancel()
    assert wire.silent(0.1)
    goes_on.set()
    assert [kind for kind, _ in wire.read_ready()] == [b"T", b"D", b"C", b"Z"]
    asked.clear()
    goes_on.clear()
    leaving = one.connect()
    leaving.send(query("SELECT 'fake'"))
    assert asked.wait(harness.PATIENCE_S)
    leaving.drop()
    console = Console(one.console())
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE, user=USER)["force_closed"] == "1", 10, "the end of the server connection")
    goes_on.set()
    assert wire.one("SELECT 'fake'") == "fake"


@pytest.mark.pgring_only
def test_server_sends_an_answer_nobody_asked_for(pooler, fake):
    """Rows that arrive on an idle connection must never reach the next client."""

    said = threading.Event()

    def behave(connection):
        welcome(connection)
        await_query(connection)
        connection.sendall(ROW_DESCRIPTION + row(b"fake") + message(b"C", text("SELECT 1")) + message(b"Z", b"I"))
        time.sleep(0.02)
        connection.sendall(ROW_DESCRIPTION + row(b"stale") + message(b"C", text("SELECT 1")) + message(b"Z", b"I"))
        said.set()
        await_query(connection)
        connection.sendall(ROW_DESCRIPTION + row(b"fake") + message(b"C", text("SELECT 1")) + message(b"Z", b"I"))
        time.sleep(1)

    one = pooler(databases=fake_database(fake(behave)), default_pool_size=1)
    for _ in range(3):
        wire = one.connect()
        assert wire.one("SELECT 'fake'") == "fake"
        assert said.wait(harness.PATIENCE_S)
        said.clear()
        time.sleep(0.1)
        wire.close()


@pytest.mark.pgring_only
def test_no_client_hears_an_old_failure(pooler, fake):
    """However long a server was away: once it is back, the next request is served."""
    port = harness.free_port()
    one = pooler(databases=[{"name": DATABASE, "host": "127.0.0.1", "port": port}])
    for _ in range(12):
        began = time.monotonic()
        assert "refused" in first_error(one).text
        assert time.monotonic() - began < harness.at_most(1)
    fake(healthy_server, port)
    assert one.connect().one("SELECT 'fake'") == "fake"


@pytest.mark.pgring_only
def test_a_failure_is_for_those_who_waited_when_it_began(pooler, fake):
    """Who begins to wait while an attempt is under way is served by the next one."""
    attempts, late = [], threading.Event()

    def behave(connection):
        attempts.append(connection)
        if len(attempts) > 1:
            healthy_server(connection)
        assert late.wait(harness.PATIENCE_S)
        refusing_server(connection)

    one = pooler(databases=fake_database(fake(behave)), auth_type="trust", default_pool_size=1, min_pool_size=0)
    early, later = one.wire(), one.wire()
    for wire, here in ((early, 1), (later, 1)):
        wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE)]))
        wait_until(lambda: len(attempts) == here, 5, "an attempt")
    time.sleep(0.2)
    late.set()
    heard = [[kind for kind, _ in messages] for _, messages, _ in sorted(crowd.answers([early, later]))]
    assert b"E" in heard[0], "the first client was not told: %s" % heard[0]
    assert heard[1][-1] == b"Z" and b"E" not in heard[1], "the second client got the first one's error: %s" % heard[1]


@pytest.mark.pgring_only
def test_a_server_that_starts_is_waited_for(pooler, fake):
    """57P03 is not an error of the client's: it waits, and is served as soon as the server lets it in."""
    open_at = float("inf")

    def behave(connection):
        (not_now if time.monotonic() < open_at else healthy_server)(connection)

    one = pooler(databases=fake_database(fake(behave)), min_pool_size=0)
    open_at = time.monotonic() + 1
    wires = [one.connect() for _ in range(5)]
    assert open_at <= time.monotonic() < open_at + harness.at_most(1), "served %.1f s late" % (time.monotonic() - open_at)
    for wire in wires:
        assert wire.one("SELECT 'fake'") == "fake"


@pytest.mark.pgring_only
def test_a_server_that_starts_for_too_long(pooler, fake):
    """After checkout_timeout the client hears what it waited for."""
    one = pooler(databases=fake_database(fake(not_now)), checkout_timeout=2000)
    began = time.monotonic()
    error = first_error(one)
    assert 1.9 < time.monotonic() - began < harness.at_most(3)
    assert error.sqlstate == "57P03" and "starting up" in error.text, error


@pytest.mark.pgring_only
def test_every_address_is_tried_before_a_client_fails(pooler, fake):
    """localhost is ::1 and 127.0.0.1 on most machines; the server listens on one of them."""
    if len(socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)) < 2:
        pytest.skip("localhost has only one address here")
    server = fake(healthy_server)
    one = pooler(databases=[{"name": DATABASE, "host": "localhost", "port": server.port}], auth_type="trust", default_pool_size=8, min_pool_size=0)
    wires = [one.wire() for _ in range(8)]
    for wire in wires:
        wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE)]))
    for _, messages, _ in crowd.answers(wires):
        assert messages[-1][0] == b"Z" and b"E" not in [kind for kind, _ in messages], messages


# ---- servers that come and go ----------------------------------------------------------------------------------------


def test_recovery_within_a_second(pooler, breakable):
    one = pooler(server=breakable)
    one.connect().ask("SELECT 1")
    breakable.stop()
    with pytest.raises(wireclient.WireError):
        one.connect().ask("SELECT 1")
    breakable.start()
    began = time.monotonic()
    while True:
        try:
            one.connect().ask("SELECT 1")
            break
        except (wireclient.WireError, OSError):
            assert time.monotonic() - began < harness.at_most(5), "no recovery at all"
    assert time.monotonic() - began < harness.at_most(1), "recovery took %.1f s" % (time.monotonic() - began)


def test_idle_clients_stay_over_a_restart(pooler, breakable):
    one = pooler(server=breakable, default_pool_size=5)
    wires = crowd.all_connected(one, 20)
    crowd.ask_all(wires, "SELECT 1")
    breakable.stop()
    time.sleep(0.2)
    breakable.start()
    crowd.ask_all(wires, "SELECT {i}")
    breakable.crash()
    breakable.start()
    crowd.ask_all(wires, "SELECT {i}")


def test_idle_servers_are_terminated(pooler, breakable):
    """Whoever comes next does not see it, unless his query crosses the server's last words on their way."""
    one = pooler(server=breakable, default_pool_size=5)
    wires = crowd.all_connected(one, 10)
    for _ in range(5):
        crowd.ask_all(wires, "SELECT pg_sleep(0.01)")
        breakable.end_sessions()
        time.sleep(0.2)
        crowd.ask_all(wires, "SELECT {i}")


@pytest.mark.parametrize("end", ("stop", "crash"))
def test_server_ends_during_a_transaction(pooler, breakable, end):
    one = pooler(server=breakable)
    idle, busy, running = one.connect(), one.connect(), one.connect()
    idle.ask("SELECT 1")
    busy.ask("BEGIN; SELECT 1")
    running.send(query("SELECT 'running', pg_sleep(60)"))
    breakable.await_active("running")
    getattr(breakable, end)()
    for wire in (busy, running):
        if wire is busy:
            wire.send(query("COMMIT"))
        kinds, fields = [], None
        try:
            while b"Z" not in kinds:
                kind, body = wire.read()
                kinds.append(kind)
                if kind == b"E":
                    fields = error_fields(body)
        except wireclient.Closed:
            pass
        assert fields is not None, "no error, only %s" % kinds
        assert b"C" not in kinds, "the lost COMMIT was acknowledged"
        assert fields["C"][:2] in ("57", "08", "58"), fields
    breakable.start()
    assert idle.one("SELECT 1") == "1"


@pytest.mark.parametrize("end", ("stop", "crash"))
def test_server_ends_under_load(pooler, breakable, end):
    """Errors while it is away, none afterwards, nobody hangs."""
    one = pooler(server=breakable, default_pool_size=5, checkout_timeout=2000)
    back = threading.Event()
    finish = time.monotonic() + 120
    errors, after, problems = [0] * 20, [0] * 20, []

    def client(i):
        wire = None
        while after[i] < 20 and time.monotonic() < finish:
            try:
                if wire is None:
                    wire = wireclient.connect(one.address, USER, PASSWORD, DATABASE)
                was_back = back.is_set()
                answer = wire.ask("SELECT '%d'" % i)
                if answer != [[str(i)]]:
                    problems.append("client %d got %r" % (i, answer))
                if was_back:
                    after[i] += 1
            except wireclient.TimedOut:
                problems.append("client %d hangs" % i)
                return
            except (wireclient.WireError, OSError) as error:
                errors[i] += 1
                if not isinstance(error, wireclient.ServerError) or error.fields.get("S") == "FATAL":
                    if wire is not None:
                        wire.drop()
                    wire = None
                time.sleep(0.02)
        if wire is not None:
            wire.drop()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    getattr(breakable, end)()
    time.sleep(0.3)
    breakable.start()
    back.set()
    for thread in threads:
        thread.join(170)
    assert not problems, problems
    assert all(count == 20 for count in after), "served after the restart: %s" % after


def test_pool_does_not_leak_places(pooler, breakable):
    """After many failures of every kind the pool still has all of its connections to give."""
    one = pooler(server=breakable, default_pool_size=3)
    for _ in range(5):
        wires = crowd.all_connected(one, 3)
        for wire in wires:
            wire.send(query("SELECT 'leak', pg_sleep(60)"))
        breakable.await_active("leak", 3)
        breakable.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%leak%' AND pid <> pg_backend_pid()")
        for wire in wires:
            try:
                wire.read_ready()
            except wireclient.Closed:
                pass
            wire.drop()
    wires = crowd.all_connected(one, 3)
    got = crowd.ask_all(wires, "BEGIN; SELECT pg_backend_pid()")
    assert len({rows[0][0] for _, rows, _ in got}) == 3


def test_server_killed_while_copying_in(pooler, breakable):
    breakable.sql("CREATE TABLE IF NOT EXISTS sink (a int, b text); GRANT ALL ON sink TO PUBLIC")
    one = pooler(server=breakable)
    wire = one.connect()
    wire.send(query("COPY sink FROM STDIN"))
    wire.read_until(b"G")
    wire.send(copy_data("1\tx\n") * 10)
    breakable.crash()
    fields = None
    try:
        wire.send(copy_data("1\t" + "x" * 1000 + "\n") * 1000 + wireclient.COPY_DONE)
        for kind, body in wire.read_ready():
            if kind == b"E":
                fields = error_fields(body)
    except wireclient.Closed:
        while wire.at < len(wire.buf):
            kind, body = wire.read(0)
            fields = error_fields(body) if kind == b"E" else fields
    breakable.start()
    assert one.connect().one("SELECT count(*) FROM sink") == "0"


# ---- the pooler itself ------------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
def test_port_in_use(pooler, postgres):
    """The second instance says so and ends."""
    one = pooler()
    process = harness.Process([harness.BINARY, "-c", one.directory.path + "/pgring.toml", "-u", one.directory.path + "/users.toml"],
                              one.directory.path + "/log2", one.env)
    try:
        assert process.wait(5) not in (0, None)
        assert str(one.port) in process.log()
    finally:
        if process.alive():
            process.kill()
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_password_that_is_corrected_during_a_login(pooler, fake):
    """The keys of the wrong one, which take their time, come when the right one is there already. They are no longer of use."""
    deriving = threading.Event()

    def behave(connection):
        read_startup(connection)
        connection.sendall(sasl(10, text("SCRAM-SHA-256") + b"\0"))
        _, body = next_message(connection)
        proof = wireclient.Scram("right", nonce=body.split(b"r=")[1].decode())
        first = ("r=%sserver,s=c2FsdHNhbHRzYWx0,i=200000" % proof.nonce).encode()
        final = proof.final(first)
        connection.sendall(sasl(11, first))
        deriving.set()
        _, body = next_message(connection)
        if body != final:
            connection.sendall(message(b"E", b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"))
            connection.close()
            return
        connection.sendall(sasl(12, b"v=" + base64.b64encode(proof.signature)))
        healthy(connection)

    def healthy(connection):
        connection.sendall(sasl(0) + message(b"S", text("server_version") + text("15.0")) + message(b"K", struct.pack("!ii", 4711, 42)) + message(b"Z", b"I"))
        while True:
            await_query(connection)
            connection.sendall(ROW_DESCRIPTION + row(b"fake") + message(b"C", text("SELECT 1")) + message(b"Z", b"I"))

    def users(password):
        return [{"name": USER, "password": PASSWORD, "database": DATABASE, "server_password": password}]

    one = pooler(databases=fake_database(fake(behave)), users=users("wrong"), checkout_timeout=35000, connect_timeout=30000, auth_type="trust", default_pool_size=1)
    wire = one.wire()
    wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE)]))
    assert deriving.wait(harness.PATIENCE_S)
    one.users = users("right")
    one.write()
    one.process.signal(signal.SIGHUP)
    wait_until(lambda: is_served(one, DATABASE), 20, "service with the right password")
