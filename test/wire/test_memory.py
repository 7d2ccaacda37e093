"""What clients can make pgring hold, and that it lets go of it. The promises are those of docs/reliability.md."""
import selectors
import threading
import time

import pytest

import crowd
import harness
import wireclient
from harness import wait_until
from wireclient import error_fields, message, query

pytestmark = pytest.mark.pgring_only

MEGABYTE = 1 << 20
BIG = query("SELECT length('" + "x" * MEGABYTE + "')")
SANITIZED = harness.binary_is_sanitized()


def trusting(pooler, **general):
    return pooler(auth_type="trust", log_connections=False, log_disconnections=False, **general)


def wires_of(one, count):
    """Clients without the work of a password."""
    got = crowd.rush(one, count)
    assert len(got) == count
    wires = [wire for wire, _ in got]
    one.clients += wires
    return wires


def send_what_fits(wires, data, seconds, over=threading.Event()):
    """Each wire sends the data as fast as it is taken, all at the same time, until it is over. Returns how many bytes each got rid of."""
    left = {wire: memoryview(data) for wire in wires}
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for wire in wires:
            selector.register(wire.sock, selectors.EVENT_WRITE, wire)
        while selector.get_map() and time.monotonic() < deadline and not over.is_set():
            for key, _ in selector.select(max(0, min(0.2, deadline - time.monotonic()))):
                wire = key.data
                try:
                    left[wire] = left[wire][wire.sock.send(left[wire][:MEGABYTE // 4]):]
                except BlockingIOError:
                    continue
                except OSError:
                    selector.unregister(wire.sock)
                    continue
                if not left[wire]:
                    selector.unregister(wire.sock)
    return [len(data) - len(left[wire]) for wire in wires]


def served(wire, sql="SELECT 1", answer="1", within=2.0):
    """How long the answer took; it must be right and in time."""
    began = time.monotonic()
    assert wire.one(sql) == answer
    took = time.monotonic() - began
    assert took < harness.at_most(within), "%s took %.2f s" % (sql, took)
    return took


def serve_meanwhile(wires, good, seconds, least):
    """Somebody else asks all the time: for so long, and until at least so many of the wires have been ended. Returns the slowest answer."""
    began, slowest = time.monotonic(), 0
    while time.monotonic() - began < seconds or sum(not wire.silent(0) for wire in wires) < least:
        assert time.monotonic() - began < seconds + wireclient.PATIENCE_S, "fewer than %d were ended" % least
        slowest = max(slowest, served(good))
        time.sleep(0.02)
    return slowest


def endings(wires):
    """The SQLSTATEs of those that were ended; None for a connection that is open."""
    found = []
    for wire in wires:
        try:
            while True:
                kind, body = wire.read(0)
                if kind == b"E":
                    found.append(error_fields(body)["C"])
                    break
        except wireclient.TimedOut:
            found.append(None)
        except wireclient.Closed:
            found.append("closed")
    return found


# ---- requests that are not whole -------------------------------------------------------------------------------------------


def test_slow_senders_hold_no_server(pooler, postgres):
    """50 clients send a query of 1 MB, one byte a second: the whole pool of 20 is there for the others."""
    one = trusting(pooler, default_pool_size=20, workers=1)
    slow, others = wires_of(one, 50), wires_of(one, 20)
    for second in range(3):
        for wire in slow:
            wire.send(BIG[second:second + 1] if second else BIG[:6])
        began = time.monotonic()
        got = crowd.ask_all(others, "BEGIN; SELECT pg_backend_pid()")
        assert len({rows[0][0] for _, rows, _ in got}) == 20, "some of the pool was not to be had"
        crowd.ask_all(others, "COMMIT")
        time.sleep(max(0, began + 1 - time.monotonic()))
    for wire in slow:
        assert wire.silent(0)


def test_unfinished_requests_hold_no_server(pooler, postgres):
    """The last byte is missing: whoever stops there waits alone, and is answered when it comes."""
    one = trusting(pooler, default_pool_size=5, workers=1)
    stuck, good = wires_of(one, 30), wires_of(one, 5)
    assert send_what_fits(stuck, BIG[:-1], 60) == [len(BIG) - 1] * 30
    time.sleep(0.2)
    got = crowd.ask_all(good, "BEGIN; SELECT pg_backend_pid()")
    assert len({rows[0][0] for _, rows, _ in got}) == 5
    crowd.ask_all(good, "COMMIT")
    for wire in stuck:
        wire.send(BIG[-1:])
    for _, messages, _ in crowd.answers(stuck):
        assert wireclient.Wire.rows(messages) == [[str(MEGABYTE)]]


def test_unfinished_requests_are_bounded(pooler, postgres):
    """400 clients stop one byte before the end of a query of 1 MB. Others, with small and with large queries, are served; memory
    stays; who has taken longest ends with 53200."""
    one = trusting(pooler, default_pool_size=5, workers=1)
    stuck, small, large = wires_of(one, 400), wires_of(one, 1)[0], wires_of(one, 1)[0]
    over = threading.Event()
    sender = threading.Thread(target=send_what_fits, args=(stuck, BIG[:-1], 60, over), daemon=True)
    sender.start()
    slowest = serve_meanwhile(stuck, small, 6, 51)
    harness.measured("slowest answer of others, s", "%.3f" % slowest)
    over.set()
    sender.join(60)
    found = endings(stuck)
    assert set(found) <= {None, "53200"}, set(found)
    large.send(BIG)  # behind those that are still to be ended
    assert wireclient.Wire.rows(large.read_ready()) == [[str(MEGABYTE)]]
    harness.measured("ended with 53200; most memory, KB", "%d, %d" % (found.count("53200"), one.rss_kb("VmHWM")))
    if not SANITIZED:
        assert one.rss_kb("VmHWM") < 200 * 1024
    for wire in stuck:
        wire.drop()
    if not SANITIZED:
        wait_until(lambda: one.rss_kb() < 40 * 1024, 10, "the memory to be given back")


def test_small_unfinished_requests_are_bounded(pooler, postgres):
    """The same with requests below the size of the reserve."""
    one = trusting(pooler, default_pool_size=2, workers=1, client_buffer_limit=4 * MEGABYTE)
    stuck, good = wires_of(one, 1000), wires_of(one, 1)[0]
    send_what_fits(stuck, query("SELECT '" + "x" * 8000 + "'")[:-1], 5)
    serve_meanwhile(stuck, good, 3, 1)
    found = endings(stuck)
    assert set(found) == {None, "53200"}, set(found)
    # a whole request of that size is served although others wait for room
    served(good, "SELECT '%s'" % ("y" * 8000), "y" * 8000)


def test_unfinished_logins_are_bounded(pooler, postgres):
    """Passwords that do not end hold memory, too, and nobody has proved anything yet."""
    one = pooler(default_pool_size=2, workers=1, client_buffer_limit=4 * MEGABYTE, auth_type="plain")
    good = one.connect()
    stuck = []
    for _ in range(200):
        wire = one.wire()
        wire.send(wireclient.startup_packet([("user", harness.USER), ("database", harness.DATABASE)]))
        stuck.append(wire)
    for wire in stuck:
        assert wire.read()[0] == b"R"
    send_what_fits(stuck, message(b"p", b"x" * 60000)[:-1], 5)
    serve_meanwhile(stuck, good, 3, 1)
    found = endings(stuck)
    assert set(found) == {None, "53200"}, set(found)


def test_large_requests_of_many(pooler, postgres):
    """60 clients send 1 MB each at once with room for 16: all of them are served, some after the others."""
    one = trusting(pooler, default_pool_size=4, workers=1, client_buffer_limit=16 * MEGABYTE)
    for _ in range(10):  # when the machine stops the sender for half a second, it is taken for one that has stopped by itself
        wires = wires_of(one, 60)
        send_what_fits(wires, BIG, 60)
        got = crowd.answers(wires)
        assert len(got) == 60
        if all(kind != b"E" for _, messages, _ in got for kind, _ in messages):
            break
    for _, messages, _ in got:
        assert wireclient.Wire.rows(messages) == [[str(MEGABYTE)]]


# ---- answers that nobody reads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", (10, pytest.param(50, marks=pytest.mark.slow)))
def test_answers_that_nobody_reads_are_bounded(pooler, postgres, count):
    """Each asks for 100 MB and reads nothing. What they hold is bounded, others are served."""
    one = trusting(pooler, default_pool_size=count + 5, workers=1)
    before = one.rss_kb()
    deaf, good = wires_of(one, count), wires_of(one, 1)[0]
    for wire in deaf:
        wire.send(query("SELECT repeat('x', 10000) FROM generate_series(1, 10000)"))
    for _ in range(20):
        served(good)
        time.sleep(0.05)
    harness.measured("memory, KB", one.rss_kb() - before)
    if not SANITIZED:
        assert one.rss_kb() - before < 64 * 1024
    one.must_rest(0.2)


HERE = {"sync": wireclient.SYNC, "transaction": query("BEGIN") + query("COMMIT"), "close": wireclient.close_statement("x") + wireclient.SYNC}


@pytest.mark.parametrize("what", HERE)
def test_answers_of_our_own_that_nobody_reads(pooler, postgres, what):
    """Who asks for what needs no server, and does not read, is not read from either; once it reads, it gets all of its answers."""
    one = trusting(pooler, workers=1)
    deaf, good = wires_of(one, 2)
    before = one.rss_kb()
    block = HERE[what] * 4000
    sent, last = 0, time.monotonic()
    while sent < 40 * MEGABYTE and time.monotonic() - last < 1:
        n = deaf.send_blindly(block[sent % len(block):])
        if n == 0:
            time.sleep(0.005)
            continue
        sent, last = sent + n, time.monotonic()
    served(good)
    harness.measured("bytes sent; memory, KB", "%d, %d" % (sent, one.rss_kb() - before))
    assert sent < 40 * MEGABYTE, "it is read from without end"
    if not SANITIZED:
        assert one.rss_kb() - before < 16 * 1024
    behind = sent % len(HERE[what])
    if behind:
        deaf.send(HERE[what][behind:])
        sent += len(HERE[what]) - behind
    each = 2 if what == "transaction" else 1
    for _ in range(sent // len(HERE[what]) * each):
        deaf.read_ready()
    assert deaf.one("SELECT 1") == "1"


def test_answers_of_the_console_that_nobody_reads(pooler, postgres):
    """Likewise; what it asks for comes from control."""
    one = pooler(workers=1)
    console = one.console()
    asked = query("SHOW CONFIG")
    before, count = one.rss_kb(), 2000
    deaf = one.console()
    assert deaf.send_blindly(asked * count) == len(asked) * count
    grown, last = 0, time.monotonic()
    while time.monotonic() - last < 0.5:
        assert console.ask("SHOW VERSION")
        if one.rss_kb() - before > grown + 100:
            grown, last = one.rss_kb() - before, time.monotonic()
        time.sleep(0.02)
    harness.measured("memory, KB", grown)
    if not SANITIZED:
        assert grown < 12 * 1024
    for _ in range(count):
        deaf.read_ready()


def test_memory_is_given_back(pooler, postgres):
    """After answers and requests of 50 MB, and after queues, the process is as small as before."""
    one = trusting(pooler, default_pool_size=5, workers=1)
    wires = wires_of(one, 50)
    crowd.ask_all(wires, "SELECT 1")
    before = one.rss_kb()
    huge = query("SELECT length('" + "x" * (50 * MEGABYTE) + "')")
    for wire in wires[:3]:
        wire.send(huge)
    for wire in wires[:3]:
        assert wireclient.Wire.rows(wire.read_ready()) == [[str(50 * MEGABYTE)]]
    crowd.ask_all(wires, "SELECT repeat('x', 1000000)")
    if not SANITIZED:
        wait_until(lambda: one.rss_kb() < before * 1.1 + 4096, 10, "the memory to be given back", 0.1)


# ---- clients that do nothing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", (1000, pytest.param(9000, marks=pytest.mark.slow)))
def test_idle_clients_cost_little(pooler, postgres, count):
    """At most 1 KB of memory each, beside what any crowd makes the allocator take once, and no work."""
    one = trusting(pooler, default_pool_size=5, workers=1)
    wires = wires_of(one, 200)
    crowd.ask_all(wires, "SELECT 1")
    before = one.rss_kb()
    wires = wires_of(one, count)
    if not SANITIZED:
        wait_until(lambda: one.rss_kb() - before < count + 768, 5, "at most 1 KB each", 0.1)
    harness.measured("bytes each", (one.rss_kb() - before) * 1024 // count)
    time.sleep(1.5)
    harness.measured("CPU in a second, ms", "%.2f" % (one.cpu_share() * 1000))
    one.must_rest(0.005)
