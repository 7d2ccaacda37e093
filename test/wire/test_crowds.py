"""Many who come at once, never finish, or vanish. The promises are those of docs/reliability.md."""
import os
import random
import re
import socket
import struct
import threading
import re
import time

import pytest

import crowd
import harness
import wireclient
from harness import DATABASE, PASSWORD, USER, wait_until
from wireclient import SYNC, bind, copy_data, execute, message, parse, query

pytestmark = pytest.mark.pgring_only

SANITIZED = harness.binary_is_sanitized()
STARTUP = wireclient.startup_packet([("user", USER), ("database", DATABASE)])


def quiet(pooler, **general):
    return pooler(log_connections=False, log_disconnections=False, **general)


def connections(one):
    """Descriptors of the process."""
    return len(os.listdir("/proc/%d/fd" % one.pid))


def sockets(one, count, data=b""):
    """Bare connections that have sent the data."""
    made = []
    for _ in range(count):
        sock = socket.create_connection(one.address)
        sock.setblocking(False)
        if data:
            sock.send(data)
        made.append(sock)
    return made


def login_seconds(one):
    began = time.monotonic()
    wireclient.connect(one.address, USER, PASSWORD, DATABASE).close()
    return time.monotonic() - began


# ---- logins ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", (600, pytest.param(2000, marks=pytest.mark.slow)))
def test_logins_that_never_finish(pooler, postgres, count):
    """They are gone soon after client_login_timeout, cost little until then, and nobody waits because of them."""
    one = quiet(pooler, client_login_timeout=4000, default_pool_size=2, workers=1)
    one.connect().ask("SELECT 1")
    idle, before = connections(one), one.rss_kb()
    began = time.monotonic()
    made = sockets(one, count // 4) + sockets(one, count // 4, STARTUP[:10]) + sockets(one, count // 2, STARTUP)
    slowest = max(login_seconds(one) for _ in range(5))
    there = connections(one) - idle
    assert there > count * 0.9 or time.monotonic() - began > 4, "who logs in has waited for others"
    harness.measured("bytes each", (one.rss_kb() - before) * 1024 // count)
    if not SANITIZED:
        assert (one.rss_kb() - before - 1024) * 1024 / count < 4096  # 1 MB is for what the first of them brings about
    while connections(one) > idle + 1:  # who has just left may still be there
        slowest = max(slowest, login_seconds(one))
        assert time.monotonic() - began < harness.at_most(4 + 3 + 2), "%d are still there" % (connections(one) - idle)
        time.sleep(0.05)
    harness.measured("slowest login meanwhile, s; all gone after, s", "%.2f, %.2f" % (slowest, time.monotonic() - began))
    assert slowest < harness.at_most(1)
    for sock in made:
        sock.close()


@pytest.mark.parametrize("count", (1000, pytest.param(5000, marks=pytest.mark.slow)))
def test_many_at_once(pooler, postgres, count):
    """All who connect in one moment are served within 3 s, and afterwards the process is as small as it was."""
    one = quiet(pooler, auth_type="trust", default_pool_size=10, workers=1)
    crowd.ask_all([wire for wire, _ in crowd.rush(one, 100)], "SELECT {i}")
    before = one.rss_kb()
    inside = crowd.rush(one, count)
    assert len(inside) == count
    harness.measured("the last was let in after, s", "%.2f" % max(seconds for _, seconds in inside))
    assert max(seconds for _, seconds in inside) < harness.at_most(3)
    began = time.monotonic()
    crowd.ask_all([wire for wire, _ in inside], "SELECT {i}")
    assert time.monotonic() - began < harness.at_most(3)
    for wire, _ in inside:
        wire.drop()
    if not SANITIZED:
        wait_until(lambda: one.rss_kb() < before * 1.1 + 512, 10, "the memory to be given back", 0.1)
        harness.measured("memory before and after, KB", "%d, %d" % (before, one.rss_kb()))


# ---- descriptors --------------------------------------------------------------------------------------------------------------


def test_few_descriptors_and_many_clients(pooler, postgres):
    """256 descriptors, 1 000 clients: those inside notice nothing, nothing spins, and when the crowd has left, whoever comes is
    served at once. Servers can be connected to all the time."""
    one = quiet(pooler, auth_type="trust", default_pool_size=5, descriptors=256)
    inside = [wire for wire, _ in crowd.rush(one, 20)]
    crowd.ask_all(inside, "SELECT 1")
    outside = sockets(one, 1000, STARTUP)
    wait_until(lambda: connections(one) > 150, 5, "the crowd")
    time.sleep(0.3)
    cpu, began = one.cpu_seconds(), time.monotonic()
    while time.monotonic() - began < 2:
        postgres.end_sessions()
        time.sleep(0.3)  # the crowd may take what has become free
        for _, rows, seconds in crowd.ask_all(inside, "SELECT {i}, pg_sleep(0.02)"):
            assert seconds < harness.at_most(2)
        time.sleep(0.1)
    harness.measured("CPU in 2 s, s", "%.2f" % (one.cpu_seconds() - cpu))
    one.must_rest(0.3)
    for sock in outside:
        sock.close()
    began = time.monotonic()
    assert login_seconds(one) < harness.at_most(1)
    assert wireclient.connect(one.address, USER, None, DATABASE).one("SELECT 1") == "1"
    harness.measured("two newcomers after the crowd, s", "%.2f" % (time.monotonic() - began))
    assert time.monotonic() - began < harness.at_most(2)
    for wire in inside:
        wire.drop()


@pytest.mark.parametrize("limits,says", (
    ({"max_client_conn": 1000, "default_pool_size": 40}, r"1000 clients \(max_client_conn\) and \d+ servers"),
    ({"max_client_conn": 100, "default_pool_size": 1}, None),
    ({"default_pool_size": 20}, r"servers get up to a quarter and may want \d+"),
))
def test_descriptors_below_the_limits(pooler, limits, says):
    """One line at the start names the limits that the descriptors do not allow, and what to do; none if they do."""
    one = pooler(descriptors=256, **limits)
    lines = [line for line in one.process.log().splitlines() if "file descriptors are allowed" in line]
    assert len(lines) == (says is not None), lines
    if says:
        assert re.search("only 256 file descriptors are allowed, .*" + says + ".*LimitNOFILE", lines[0]), lines[0]


# ---- clients that vanish ---------------------------------------------------------------------------------------------------------


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def script(chance, i):
    """What a client says, and where it stops."""
    said = STARTUP + b"".join(chance.choice((
        query("SELECT 'gone %d'" % i), query("BEGIN"), query("SELECT pg_sleep(0.001)"), query("SELECT 1/0"),
        parse("SELECT 'gone'") + bind() + execute() + SYNC, parse("SELECT 'gone'") + bind() + execute(),
        query("SELECT repeat('x', 10000) FROM generate_series(1, 50)"), query("COPY crowd_sink FROM STDIN") + copy_data("1\n"),
        query("BEGIN; INSERT INTO crowd_sink VALUES (1)"), message(b"Q", b"x" * 5000), b"", SYNC,
        query("SELECT '" + "y" * 20000 + "'"))) for _ in range(chance.randint(0, 5)))
    return said[:chance.randint(0, len(said))] if chance.random() < 0.5 else said


@pytest.mark.parametrize("count", (500, pytest.param(5000, marks=pytest.mark.slow)))
def test_clients_that_vanish(pooler, postgres, count):
    """They reset their connections at random points of random scripts. Nobody gets a wrong answer meanwhile, and nothing of theirs
    is left 3 s later."""
    postgres.sql("CREATE TABLE IF NOT EXISTS crowd_sink (a int); TRUNCATE crowd_sink; GRANT ALL ON crowd_sink TO PUBLIC")
    one = quiet(pooler, auth_type="trust", default_pool_size=8)
    stay, over, wrong = crowd.rush(one, 8), threading.Event(), []

    def asks(wire, number):
        turn = 0
        while not over.is_set():
            turn += 1
            try:
                rows = wire.ask("SELECT 'stay %d %d'" % (number, turn))
            except wireclient.WireError as error:
                wrong.append("%d: %s" % (number, error))
                return
            if rows != [["stay %d %d" % (number, turn)]]:
                wrong.append("%d got %s" % (number, rows))
                return

    threads = [threading.Thread(target=asks, args=(wire, i)) for i, (wire, _) in enumerate(stay)]
    for thread in threads:
        thread.start()
    chance = random.Random(7)
    for base in range(0, count, 50):
        there = sockets(one, 50)
        for i, sock in enumerate(there):
            try:
                sock.send(script(chance, base + i))
            except OSError:
                pass
        time.sleep(chance.choice((0, 0.001, 0.02)))
        for sock in there:
            reset(sock)
    gone = time.monotonic()
    busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND (state <> 'idle' OR query LIKE '%%gone%%' AND state = 'active')" % USER
    over.set()
    for thread in threads:
        thread.join(60)
    assert not wrong, wrong
    wait_until(lambda: postgres.value(busy) == "0", 3, "the end of all that the departed did", 0.05)
    harness.measured("nothing of theirs left after, s", "%.2f" % (time.monotonic() - gone))
    assert postgres.value("SELECT count(*) FROM crowd_sink") == "0"
    wait_until(lambda: connections(one) < 60, 3, "the end of their connections")
    got = crowd.ask_all([wire for wire, _ in stay], "BEGIN; SELECT {i}, pg_backend_pid()")
    if harness.WORKERS == 1:
        assert len({rows[0][1] for _, rows, _ in got}) == 8, "places of the pool were lost"


def test_requests_of_the_departed_do_not_run(pooler, postgres):
    """50 wait for the only server and reset their connections: when it is free again, none of their requests runs."""
    postgres.sql("CREATE TABLE IF NOT EXISTS crowd_sink (a int); TRUNCATE crowd_sink; GRANT ALL ON crowd_sink TO PUBLIC")
    one = quiet(pooler, auth_type="trust", default_pool_size=1, workers=1)
    holder = crowd.rush(one, 1)[0][0]
    idle = connections(one)
    waiting = [wire for wire, _ in crowd.rush(one, 50)]
    holder.ask("BEGIN; SELECT 1")
    for wire in waiting:
        wire.send(query("INSERT INTO crowd_sink VALUES (1)"))
    time.sleep(0.2)
    for wire in waiting:
        wire.drop(reset=True)
    wait_until(lambda: connections(one) <= idle, 3, "the end of their connections")
    holder.ask("COMMIT")
    assert holder.one("SELECT count(*) FROM crowd_sink") == "0"
    time.sleep(0.1)
    assert holder.one("SELECT count(*) FROM crowd_sink") == "0"


# ---- what no client should say ------------------------------------------------------------------------------------------------------


def nonsense(chance):
    """Bytes that begin like something."""
    kind = chance.choice(b"QPBDECSHXpdcfF\x00\x01\xffGET")
    length = chance.choice((0, 1, 3, 4, 5, 8, 100, 65536, 0x7fffffff, 0x80000000, 0xffffffff, chance.getrandbits(32)))
    return bytes([kind]) + struct.pack("!I", length) + chance.randbytes(chance.choice((0, 1, 4, 100, 3000)))


def untyped(chance):
    code = chance.choice((196608, 196610, 131072, 80877102, 80877103, 80877104, 0, 0xffffffff, chance.getrandbits(32)))
    length = chance.choice((0, 4, 7, 8, 9, 16, 10000, 10001, 0x7fffffff, 0xffffffff))
    return struct.pack("!II", length, code) + chance.randbytes(chance.choice((0, 1, 8, 100)))


@pytest.mark.parametrize("place", ("before", "after"))
def test_nonsense(pooler, postgres, place):
    """Malformed packets before and after the login: nothing ends, nothing spins, nobody else sees an error."""
    one = quiet(pooler, auth_type="trust", default_pool_size=3, client_login_timeout=5000, workers=1)
    good = crowd.rush(one, 1)[0][0]
    chance = random.Random(place)
    for turn in range(20):
        if place == "before":
            odd = sockets(one, 25)
            for sock in odd:
                sock.send(untyped(chance) if chance.random() < 0.6 else nonsense(chance))
        else:
            odd = [wire.sock for wire, _ in crowd.rush(one, 25)]
            for sock in odd:
                sock.send(nonsense(chance) + (nonsense(chance) if chance.random() < 0.5 else b""))
        assert good.one("SELECT 'good %d'" % turn) == "good %d" % turn
        if turn % 2:
            for sock in odd:
                sock.close()
    one.must_rest(0.2)
    assert good.one("SELECT 1") == "1"
