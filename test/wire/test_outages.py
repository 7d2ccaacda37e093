"""Servers that are killed, frozen, full or gone, and how soon all is well again; a log that cannot be written, a clock that jumps,
an end in the middle of the work. The promises are those of docs/reliability.md."""
import concurrent.futures
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

import crowd
import harness
import wireclient
from console import Console
from harness import DATABASE, PASSWORD, USER, database_row, user_row, wait_until
from wireclient import error_fields, query

pytestmark = pytest.mark.pgring_only

SANITIZED = harness.binary_is_sanitized()
NOT_YET = ("57P03", "08006", "08001", "57P01", "57P02", "58000")  # what a server that is away or coming says


class Load:
    """Clients that ask all the time. Each notes when it was answered, and every error with its time."""

    def __init__(self, one, count, sql="SELECT 'load {i}'", **options):
        self.over, self.answers, self.errors, self.wrong = threading.Event(), [], [], []
        self.reconnects = 0
        self.threads = [threading.Thread(target=self._ask, args=(one, i, sql.replace("{i}", str(i)), options)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _ask(self, one, i, sql, options):
        wire = None
        while not self.over.is_set():
            try:
                if wire is None:
                    wire = wireclient.connect(one.address, USER, PASSWORD, options.get("database", DATABASE))
                rows = wire.ask(sql)
                if rows != [["load %d" % i]]:
                    self.wrong.append((i, rows))
                self.answers.append(time.monotonic())
            except wireclient.TimedOut as error:
                self.wrong.append((i, error))
                break
            except (wireclient.WireError, OSError) as error:
                self.errors.append((time.monotonic(), error))
                if isinstance(error, (wireclient.Closed, OSError)) or getattr(error, "fields", {}).get("S") == "FATAL":
                    wire, self.reconnects = None, self.reconnects + 1
                time.sleep(0.01)
        if wire is not None:
            wire.drop()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.wrong, self.wrong[:5]

    def rate(self, begin, end):
        return sum(begin <= at < end for at in list(self.answers)) / (end - begin)


# ---- the server goes and comes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ("crash", "stop"))
def test_server_killed_under_load(pooler, breakable, end):
    """SIGKILL, or an immediate end, under load: the first answer comes within 1 s of the server's return, full speed within 3 s;
    idle clients keep their connections and see nothing at all."""
    one = pooler(server=breakable, default_pool_size=5, checkout_timeout=2000)
    idle = crowd.all_connected(one, 5)
    crowd.ask_all(idle, "SELECT 1")
    load = Load(one, 10)
    began = time.monotonic()
    time.sleep(1)
    before = load.rate(began + 0.3, began + 1)
    getattr(breakable, end)()
    time.sleep(0.5)
    breakable.start()
    back = time.monotonic()
    time.sleep(3.5)
    rate = load.rate(back + 2.5, back + 3.5)
    # other work of the machine may be in the way for a while: then it is looked at again
    wait_until(lambda: load.rate(time.monotonic() - 1, time.monotonic()) > before / 3, 25, "full speed", 0.5)
    load.end()
    first = min(at for at in load.answers if at > back)
    harness.measured("first answer after the return, s", "%.2f" % (first - back))
    harness.measured("answers a second before, and 2.5 s after the return", "%d, %d" % (before, rate))
    assert first - back < harness.at_most(1), "the first answer took %.2f s" % (first - back)
    late = [error for at, error in load.errors if at > back + harness.at_most(1)]
    assert not late, late[:3]
    crowd.ask_all(idle, "SELECT {i}")


@contextlib.contextmanager
def frozen(server):
    """SIGSTOP for the whole server."""
    processes = [server.process.pid] + server._children()
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes[::-1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("seconds", (1.5, pytest.param(5, marks=pytest.mark.slow)))
def test_server_stopped_for_a_while(pooler, postgres, breakable, seconds):
    """Clients of another server notice nothing; those of the frozen one go on without an error."""
    one = pooler(databases=[database_row(postgres), database_row(breakable, "frozen")], default_pool_size=5,
                 users=[{"name": USER, "password": PASSWORD, "databases": [DATABASE, "frozen"]}])
    good = one.connect()
    load = Load(one, 15, database="frozen")
    wait_until(lambda: len(load.answers) > 50, 10, "the load")
    slowest, answers = 0, 0
    with frozen(breakable):
        began = time.monotonic()
        while time.monotonic() - began < seconds or answers < 20 and time.monotonic() - began < 30:
            asked = time.monotonic()
            assert good.one("SELECT 1") == "1"
            slowest = max(slowest, time.monotonic() - asked)
            answers += 1
            time.sleep(0.01)
    harness.measured("slowest answer of the other server, s", "%.3f" % slowest)
    assert answers >= 20 and slowest < harness.at_most(1), "another server's client waited %.2f s" % slowest
    goes_on = time.monotonic()
    wait_until(lambda: load.answers[-1] > goes_on + 0.2, 5, "answers of the server that goes on")
    load.end()
    assert not load.errors, load.errors[:3]


# ---- servers that cannot be used, and their repair ----------------------------------------------------------------------------------


def reason(one, database=DATABASE, within=3.0):
    """The error that a client gets, in time."""
    began = time.monotonic()
    wire = one.wire()
    try:
        wire.login(USER, PASSWORD, database)
        wire.ask("SELECT 1")
    except wireclient.ServerError as error:
        harness.measured("error after, s", "%.2f" % (time.monotonic() - began))
        assert time.monotonic() - began < harness.at_most(within), "the error took %.1f s" % (time.monotonic() - began)
        return "%s %s %s" % (error.sqlstate, error.text, error.fields.get("D", ""))
    finally:
        wire.drop()
    raise AssertionError("it worked")


def served_again(one, within=1.0):
    """Somebody asks all the time; how long after the repair it is answered."""
    began = time.monotonic()
    while True:
        try:
            with wireclient.connect(one.address, USER, PASSWORD, DATABASE) as wire:
                assert wire.ask("SELECT 'again'") == [["again"]]
            break
        except (wireclient.WireError, OSError):
            assert time.monotonic() - began < harness.at_most(10), "no service after the repair"
            time.sleep(0.01)
    harness.measured("service after the repair, s", "%.2f" % (time.monotonic() - began))
    assert time.monotonic() - began < harness.at_most(within), "service took %.2f s" % (time.monotonic() - began)


def test_out_of_connections(pooler, breakable):
    """The server has no connection left: its own words, and service once it has one."""
    breakable.sql("ALTER ROLE %s CONNECTION LIMIT 2" % USER)
    try:
        taken = [breakable.connect() for _ in range(2)]
        one = pooler(server=breakable, checkout_timeout=20000, connect_timeout=10000)
        assert "53300 " in reason(one) or "too many connections" in reason(one)
        for wire in taken:
            wire.close()
        served_again(one)
    finally:
        breakable.sql("ALTER ROLE %s CONNECTION LIMIT -1" % USER)


def test_wrong_password(pooler, breakable):
    breakable.sql("ALTER ROLE %s PASSWORD 'another'" % USER)
    try:
        one = pooler(server=breakable, checkout_timeout=20000, connect_timeout=10000)
        assert "password authentication failed" in reason(one)
        breakable.sql("ALTER ROLE %s PASSWORD '%s'" % (USER, PASSWORD))
        served_again(one)
    finally:
        breakable.sql("ALTER ROLE %s PASSWORD '%s'" % (USER, PASSWORD))


def test_closed_port(pooler, breakable):
    one = pooler(server=breakable, checkout_timeout=20000, connect_timeout=10000)
    breakable.stop()
    assert "refused" in reason(one).lower()
    breakable.start()
    served_again(one)


class Preload:
    """The environment in which preload.c stands between the program and libc."""

    def __init__(self, directory):
        self.library, self.file = os.path.join(directory, "preload.so"), os.path.join(directory, "present")
        source = os.path.join(harness.ROOT, "test/wire/preload.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", source, "-o", self.library, "-ldl"], check=True)
        self.set()

    def set(self, seconds=0, address="-"):
        with open(self.file + ".new", "w") as file:
            file.write("%d %s\n" % (seconds, address))
        os.rename(self.file + ".new", self.file)

    def env(self):
        return {"LD_PRELOAD": self.library, "PRELOAD_FILE": self.file}


@pytest.fixture
def preload(tmp_path):
    if SANITIZED:
        pytest.skip("a sanitizer wants to be first in line")
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    return Preload(str(tmp_path))


@pytest.mark.parametrize("workers", (1, 4))
def test_host_that_comes_and_goes(pooler, postgres, preload, workers):
    """A name that does not resolve is named in the error; it is looked up anew for each connection, so service follows within 1 s.
    Connections that stand do not care, and serve the clients of cores that have never known the address."""
    one = pooler(databases=[database_row(postgres, host="moving.test")], checkout_timeout=20000, connect_timeout=10000, env=preload.env(),
                 default_pool_size=2 * workers, min_pool_size=0, workers=workers)
    assert "moving.test" in reason(one)
    preload.set(address=postgres.host)
    served_again(one)
    preload.set()
    wires = [one.connect() for _ in range(2 * workers)]
    for _ in range(20):
        for wire in wires:
            assert wire.one("SELECT 1") == "1"


@pytest.mark.slow
def test_host_name_is_lost(pooler, postgres, preload):
    """A name that had worked does not resolve any more: its last address is good as long as somebody answers there."""
    preload.set(address=postgres.host)
    one = pooler(databases=[database_row(postgres, host="moving.test")], checkout_timeout=20000, connect_timeout=10000, env=preload.env())
    wire = one.connect()
    assert wire.one("SELECT 1") == "1"
    preload.set()
    time.sleep(6)  # longer than an address is believed without asking
    postgres.end_sessions()
    assert wire.one("SELECT 1") == "1"
    assert "its last address is used" in one.log()


def test_host_that_moves(pooler, postgres, preload):
    """Nobody listens at the address that the name has; then it gets another one."""
    preload.set(address="127.0.0.2")
    one = pooler(databases=[database_row(postgres, host="moving.test")], checkout_timeout=20000, connect_timeout=10000, env=preload.env(),
                 default_pool_size=2)
    assert "refused" in reason(one).lower()
    preload.set(address=postgres.host)
    served_again(one)


@pytest.mark.parametrize("workers", (1, 4))
def test_name_server_that_says_nothing(pooler, postgres, preload, workers):
    """Many clients and pools wait for the address of one host: logins and names of other databases do not. When the name server is
    back, they are served; and while it is not, the end of the process does not wait for it."""
    preload.set(address="?")
    names = ["stuck%d" % i for i in range(6)]
    one = pooler(databases=[database_row(postgres, host="localhost")] + [database_row(postgres, name, host="moving.test") for name in names + ["last"]],
                 users=[user_row(USER, None, all_databases=True), user_row("sam"), user_row("clara")], checkout_timeout=60000,
                 env=preload.env(), min_pool_size=0, workers=workers)

    def stuck(name):
        wire = one.wire()
        wire.login(USER, PASSWORD, name)
        return wire.one("SELECT 'served'")

    with concurrent.futures.ThreadPoolExecutor(4 * len(names)) as threads:
        waiting = [threads.submit(stuck, name) for name in 4 * names]
        for user in (USER, "sam", "clara"):
            assert one.connect(user).one("SELECT session_user") == user
        assert not any(future.done() for future in waiting)
        preload.set(address=postgres.host)
        assert [future.result() for future in waiting] == ["served"] * len(waiting)
        preload.set(address="?")
        console = Console(one.console())
        waiting = threads.submit(stuck, "last")
        wait_until(lambda: console.row("SHOW LISTS", list="dns_pending")["items"] != "0", 10, "a lookup")
        one.process.signal(signal.SIGTERM)
        assert one.process.wait(8) == 0
        assert isinstance(waiting.exception(), (wireclient.WireError, OSError))


@pytest.mark.parametrize("then", ("?", "127.0.0.2"))
def test_host_is_changed_while_it_is_looked_up(pooler, postgres, preload, then):
    """A reload names another host: nobody waits for the old one's address any more, nor is it used when it is found after all."""
    preload.set(address="?")
    one = pooler(databases=[database_row(postgres, host="moving.test")], auth_type="trust", checkout_timeout=20000, workers=2, env=preload.env())
    wires = [one.wire() for _ in range(4)]
    for wire in wires:
        wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE)]))
    console = Console(one.console())
    wait_until(lambda: int(console.row("SHOW LISTS", list="dns_pending")["items"]) > 0, 10, "a lookup")
    one.databases[0]["host"] = postgres.host
    one.write()
    assert console.says("RELOAD") == "RELOAD"
    preload.set(address=then)
    assert len(crowd.answers(wires)) == 4
    preload.set(address=postgres.host)
    time.sleep(0.1)
    crowd.ask_all(wires, "SELECT {i}")
    assert "could not connect" not in one.log()


def test_known_address_is_used(pooler, breakable, preload):
    """The server fails and is back at its old address, and meanwhile the name server has stopped to answer: nobody waits for that."""
    preload.set(address=breakable.host)
    one = pooler(server=breakable, databases=[database_row(breakable, host="moving.test")], checkout_timeout=12000, connect_timeout=3000,
                 env=preload.env())
    assert one.connect().one("SELECT 1") == "1"
    breakable.stop()
    assert "refused" in reason(one).lower()
    preload.set(address="?")
    breakable.start()
    served_again(one, within=5)
    preload.set(address=breakable.host)


# ---- the world around ------------------------------------------------------------------------------------------------------------------


def test_wall_clock_is_stepped(pooler, postgres, preload):
    """Years back and forth: no timeout fires, none is late, and the log has the new time."""
    one = pooler(env=preload.env(), client_idle_timeout=30000, default_pool_size=2, checkout_timeout=3000, idle_timeout=5000, workers=1)
    wires = crowd.all_connected(one, 4)
    for years in (-10, 20, 0, -1):
        preload.set(seconds=years * 366 * 86400)
        crowd.ask_all(wires, "SELECT {i}, pg_sleep(0.05)")
    time.sleep(0.3)
    holder = wires[0]
    holder.ask("BEGIN; SELECT 1")
    wires[1].ask("BEGIN; SELECT 1")
    began = time.monotonic()
    wires[2].send(query("SELECT 1"))
    preload.set(seconds=5 * 366 * 86400)
    kind, body = wires[2].read()
    assert kind == b"E" and "checkout timeout" in error_fields(body)["M"]
    assert 2.8 < time.monotonic() - began < harness.at_most(4)
    with one.connect():
        pass
    year = str(time.gmtime(time.time() + 5 * 366 * 86400).tm_year)
    wait_until(lambda: any(line.startswith(year) for line in one.log().splitlines()), 5, "the new time in the log")
    one.must_rest(0.2)


def log_to(one, target):
    """Has the program write its log there instead of to the harness' file."""
    command = one.command

    def wrapped():
        return ["sh", "-c", 'exec "$@" 2>"$0"', target] + command()

    one.command = wrapped
    return one


@pytest.mark.parametrize("target", ("full disk", "pipe that nobody reads"))
def test_log_that_cannot_be_written(postgres, tmp_path, target):
    """Clients are served, the console answers, and SIGTERM ends the process. When the log can be written again, it says how much is
    missing."""
    reader = None
    path = "/dev/full"
    if target != "full disk":
        path = str(tmp_path / "log")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    one = log_to(harness.Pgring(postgres, general={"default_pool_size": 2, "auth_type": "trust"}), path)
    try:
        one.start()
        for _ in range(3):
            for wire, _ in crowd.rush(one, 400):
                wire.drop()
        with one.connect() as wire:
            assert wire.one("SELECT 1") == "1"
        with one.console() as console:
            assert console.ask("SHOW VERSION")
        if reader is not None:
            pages = []

            def read_on():
                with contextlib.suppress(BlockingIOError):
                    pages.append(os.read(reader, 1 << 20))
                return b"log lines could not be written" in b"".join(pages)

            assert not read_on()
            with one.connect():
                pass
            wait_until(read_on, 5, "the word about what is missing")
        one.process.signal(signal.SIGTERM)
        assert one.process.wait(10) == 0
    finally:
        if one.process is not None and one.process.alive():
            one.process.kill()
        one.directory.remove()
        if reader is not None:
            os.close(reader)


def test_end_under_load(pooler, postgres):
    """SIGTERM: transactions that have begun finish, idle clients are told 57P01, and a new process on the same port serves at once."""
    postgres.sql("CREATE TABLE IF NOT EXISTS outage_sink (a int); TRUNCATE outage_sink; GRANT ALL ON outage_sink TO PUBLIC")
    one = pooler(default_pool_size=8, shutdown_timeout=60000)
    idle, busy = crowd.all_connected(one, 5), crowd.all_connected(one, 8)
    crowd.ask_all(idle, "SELECT 1")
    crowd.ask_all(busy, "BEGIN; INSERT INTO outage_sink VALUES ({i})")
    one.process.signal(signal.SIGTERM)
    for wire in idle:
        kinds = wire.read_to_end()
        assert [error_fields(body)["C"] for kind, body in kinds if kind == b"E"] == ["57P01"]
    for i, wire in enumerate(busy):
        assert wire.one("SELECT count(*) FROM outage_sink WHERE a = %d" % i) == "1"
        wire.ask("COMMIT")
    for wire in busy:
        kinds = wire.read_to_end()
        assert [error_fields(body)["C"] for kind, body in kinds if kind == b"E"] == ["57P01"]
    assert one.process.wait(5) == 0
    assert postgres.value("SELECT count(*) FROM outage_sink") == "8"
    one.process = harness.Process(one.command(), os.path.join(one.directory.path, "log2"), one.env, one.directory.path)
    began = time.monotonic()
    wait_until(one._accepts, 5, "the new process")
    assert one.connect().one("SELECT 1") == "1"
    harness.measured("first answer of the new process, s", "%.2f" % (time.monotonic() - began))
    assert time.monotonic() - began < harness.at_most(2)
