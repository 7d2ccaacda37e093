"""Reload: a new configuration for every core at once, and what stays as it was."""
import os
import select
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
from wireclient import SYNC, bind, execute, parse, query

pytestmark = pytest.mark.pgring_only


def reload(one):
    """Writes the files, asks for a reload and waits until every core has switched."""
    one.write()
    done = one.log().count("the configuration was reloaded")
    one.process.signal(signal.SIGHUP)
    wait_until(lambda: one.log().count("the configuration was reloaded") > done, 5, "the reload", 0.01)


def test_configuration_is_reloaded(pooler, postgres):
    """SIGHUP: new users and databases appear, connections of unchanged pools stay, a broken file changes nothing."""
    one = pooler(databases=[database_row(postgres)], users=[user_row(USER)], default_pool_size=2)
    wire = one.connect()
    pid = wire.server_pid()
    one.databases.append(database_row(postgres, "second"))
    one.users.append(user_row("sam", "second"))
    one.write()
    one.process.signal(signal.SIGHUP)

    def second_works():
        try:
            return one.connect("sam", database="second").one("SELECT session_user") == "sam"
        except wireclient.ServerError:
            return False

    wait_until(second_works, 5, "the new database", 0.05)
    assert wire.server_pid() == pid, "an unchanged pool lost its connection"
    one.directory.write("pgring.toml", "[general]\nport = \"no number\"\n")
    one.process.signal(signal.SIGHUP)
    wait_until(lambda: "pgring.toml" in one.log() and "expected" in one.log(), 5, "the complaint in the log")
    assert wire.server_pid() == pid
    assert second_works()


def test_reload_under_load(pooler, postgres):
    one = pooler(databases=[database_row(postgres)], users=[user_row(USER)], default_pool_size=4)
    wires = crowd.all_connected(one, 12)
    for turn in range(20):
        one.general["default_pool_size"] = 2 + turn % 5
        one.write()
        one.process.signal(signal.SIGHUP)
        for _ in range(5):
            crowd.ask_all(wires, "SELECT {i}, pg_sleep(0.001)")
    assert one.connect().one("SELECT 1") == "1"


def test_a_removed_database_lets_go(pooler, postgres):
    """Idle clients end with 57P01, a transaction goes on to its end, newcomers hear that there is no such database."""
    one = pooler(databases=[database_row(postgres), database_row(postgres, "second")],
                 users=[user_row(USER, None, all_databases=True)], workers=2)
    idle, busy, other = one.connect(database="second"), one.connect(database="second"), one.connect()
    idle.ask("SELECT 1")
    pid = other.server_pid()
    busy.ask("BEGIN; SELECT 1")
    del one.databases[1]
    reload(one)
    kind, body = idle.read()  # without having asked
    assert (kind, wireclient.error_fields(body)["C"]) == (b"E", "57P01")
    assert busy.one("SELECT 2") == "2"
    busy.ask("COMMIT")
    kind, body = busy.read()
    assert (kind, wireclient.error_fields(body)["C"]) == (b"E", "57P01"), "its transaction is over"
    with pytest.raises(wireclient.ServerError, match="3D000"):
        one.connect(database="second")
    assert other.server_pid() == pid
    here = "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'" % USER
    wait_until(lambda: int(postgres.value(here)) <= 2, 5, "its servers to go")
    one.databases.append(database_row(postgres, "second"))
    reload(one)
    assert one.connect(database="second").one("SELECT 4") == "4"


@pytest.mark.parametrize("command", ("KILL %s" % DATABASE, "KILL"))
def test_kill_reaches_who_outlived_the_removal(pooler, postgres, command):
    """Open transactions go on when their database is removed. KILL ends them."""
    one = pooler(databases=[database_row(postgres, pooler_mode="session"), database_row(postgres, "second")],
                 users=[user_row(USER, None, all_databases=True)], workers=2)
    console = Console(one.console())
    session, second = one.connect(), one.connect(database="second")
    second.ask("BEGIN; SELECT 1")
    session.ask("BEGIN; SELECT 1")
    gone = one.databases[:]
    one.databases[:] = [database_row(postgres, "third")]
    reload(one)
    assert (session.one("SELECT 2"), second.one("SELECT 3")) == ("2", "3")
    if command != "KILL":
        assert console.refused(command)["M"] == "no such database: " + DATABASE
    one.databases[:] = gone
    reload(one)
    assert console.says(command) == "KILL"
    ended = [session] + ([second] if command == "KILL" else [])
    for wire in ended:
        kind, body = wire.read()
        assert (kind, wireclient.error_fields(body)["C"]) == (b"E", "57P01")
    if command != "KILL":
        assert second.one("SELECT 4") == "4"
    wait_until(lambda: len(postgres.server_pids(USER)) == 2 - len(ended), 5, "the end of their servers")


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_who_is_busy_when_the_database_is_removed(pooler, postgres, door, mode):
    """The query is answered, then the session ends like those that were idle, also if it had the server for itself."""
    one = pooler(databases=[database_row(postgres), database_row(postgres, "second")], users=[user_row(USER, None, all_databases=True)],
                 pooler_mode=mode, workers=2)
    busy = [one.connect(database="second") for _ in range(2)]
    for wire in busy:
        wire.ask("SELECT 1")
        wire.send(door.query("'busy'"))
    postgres.await_active("busy", 2)
    del one.databases[1]
    reload(one)
    door.open()
    for wire in busy:
        messages = wire.read_to_end()
        assert b"".join(kind for kind, _ in messages) == b"TDCZE", messages
        assert wireclient.error_fields(messages[-1][1])["C"] == "57P01"


def test_pool_size_changes(pooler, postgres):
    """More is there at once; less closes what is idle, and what is busy when its transaction ends."""
    one = pooler(default_pool_size=6, workers=3)
    wires = crowd.all_connected(one, 8)
    for wire in wires[:6]:
        wire.ask("BEGIN; SELECT 1")
    one.general["default_pool_size"] = 2
    reload(one)
    for wire in wires[:6]:
        assert wire.one("SELECT 2") == "2"
    for wire in wires[:6]:
        wire.ask("COMMIT")
    crowd.ask_all(wires, "SELECT {i}")
    count = "SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE usename = '%s' AND datname = '%s'" % (USER, DATABASE)
    wait_until(lambda: int(wires[0].one(count)) <= 2, 5, "the pool to shrink")
    one.general["default_pool_size"] = 8
    reload(one)
    for wire in wires:
        wire.ask("BEGIN; SELECT 1")
    for wire in wires:
        wire.ask("COMMIT")


def test_passwords_change(pooler, postgres):
    """The old password of a client is refused, the new one is good; who is inside stays."""
    one = pooler(users=[user_row(USER, password_hash=None)])
    inside = one.connect()
    server_password = one.users[0]["password"]
    one.users[0].update(password="another", server_password=server_password)
    reload(one)
    assert inside.one("SELECT 1") == "1"
    with pytest.raises(wireclient.ServerError, match="28P01"):
        one.connect(USER, server_password)
    assert one.connect(USER, "another").one("SELECT 2") == "2"


def test_the_mode_changes_between_transactions(pooler, postgres):
    one = pooler(default_pool_size=1, pooler_mode="session")
    first = one.connect()
    first.ask("SET application_name = 'kept'")
    one.general["pooler_mode"] = "transaction"
    reload(one)
    assert first.one("SHOW application_name") == "kept", "a session that holds its server keeps it"
    first.close()
    second, third = one.connect(), one.connect()
    assert (second.one("SELECT 1"), third.one("SELECT 2")) == ("1", "2")


@pytest.mark.parametrize("key, before, after", (("pooler_mode", "transaction", "session"), ("prepared_statements", "extended", "disabled")))
def test_prepared_statements_outlive_a_reload(pooler, postgres, key, before, after):
    """Those that clients have when it changes the mode, or forbids them, are there as before."""
    one = pooler(default_pool_size=2, **{key: before})
    wires = crowd.all_connected(one, 3)
    for i, wire in enumerate(wires):
        wire.send(parse("SELECT %d" % i, name="s") + SYNC)
        wire.read_ready()
    one.general[key] = after
    reload(one)
    for _ in range(2):
        for i, wire in enumerate(wires):
            wire.send(bind(name="s") + execute() + SYNC)
            assert wireclient.Wire.rows(wire.read_ready()) == [[str(i)]]


def test_the_mode_changes_for_busy_clients(pooler, postgres, door):
    """In a transaction, or with nothing but a BEGIN: the transaction ends as it was begun, then the new mode holds."""
    one = pooler(default_pool_size=4)
    busy, begun, console = one.connect(), one.connect(), Console(one.console())
    busy.ask("BEGIN; SELECT 1")
    begun.ask("BEGIN")
    one.general["pooler_mode"] = "statement"
    reload(one)
    for wire in (busy, begun):
        assert wire.one("SELECT 2") == "2"
        wire.ask("ROLLBACK")
        with pytest.raises(wireclient.ServerError, match="statement pooler mode"):
            wire.ask("BEGIN; SELECT 1")
        wire.close()
    wait_until(lambda: len(console.ask("SHOW CLIENTS")) == 1, 5, "the end of the two", 0.02)
    busy = one.connect()
    busy.send(door.query("'busy'"))
    postgres.await_active("busy")
    one.general["pooler_mode"] = "session"
    reload(one)
    door.open()
    busy.read_ready()
    busy.ask("SELECT 1")
    assert console.row("SHOW CLIENTS", database=DATABASE)["locked"] == "t"


def test_another_server(pooler, postgres, fault_postgres):
    """The pool's connections move to the new address, busy ones after their transaction."""
    one = pooler(default_pool_size=3, workers=2)
    wires = crowd.all_connected(one, 3)
    for wire in wires:
        wire.ask("SELECT 1")
    wires[0].ask("BEGIN; SELECT 1")
    one.databases[0]["port"] = fault_postgres.port
    reload(one)
    assert wires[1].one("SHOW port") == str(fault_postgres.port)
    assert wires[0].one("SHOW port") == str(postgres.port)
    wires[0].ask("COMMIT")
    assert wires[0].one("SHOW port") == str(fault_postgres.port)


def test_a_broken_file_changes_nothing(pooler, postgres):
    one = pooler()
    wire = one.connect()
    pid = wire.server_pid()
    for text in ("[general]\nport = 'x'\n", "[general", "[[databases]]\nname = 1\n", "[general]\nno_such_key = 1\n"):
        one.directory.write("pgring.toml", text)
        done = one.log().count("nothing was reloaded")
        one.process.signal(signal.SIGHUP)
        wait_until(lambda: one.log().count("nothing was reloaded") > done, 5, "the complaint", 0.01)
        assert wire.server_pid() == pid
    reload(one)
    assert wire.server_pid() == pid


def test_files_that_vanish(pooler, postgres):
    """A file that is gone, or was cut short, changes nothing: nobody is disconnected because of it. The message says what to do."""
    one = pooler()
    wire, console = one.connect(), Console(one.console())
    pid = wire.server_pid()
    for name, damage, words in (("pgring.toml", os.unlink, "No such file"), ("users.toml", os.unlink, "No such file"),
                                ("pgring.toml", lambda path: os.truncate(path, 0), "no database with a user"),
                                ("users.toml", lambda path: os.truncate(path, 0), "no database with a user")):
        damage(os.path.join(one.directory.path, name))
        fields = console.refused("RELOAD")
        assert fields["C"] == "F0000" and words in fields["M"], fields
        assert wire.server_pid() == pid and one.connect().one("SELECT 1") == "1"
        one.write()
        assert console.says("RELOAD") == "RELOAD"
    assert wire.server_pid() == pid


@pytest.mark.parametrize("workers", (1, 4))
def test_reloads_follow_each_other(pooler, postgres, workers):
    """Who asks while a reload is under way gets another one, by the console or by signal: what the files say last is what counts."""
    one = pooler(workers=workers)
    consoles = [Console(one.console()) for _ in range(8)]
    for _ in range(5):
        for console in consoles:
            console.wire.send(query("RELOAD"))
        for console in consoles:
            console.table(console.wire.read_ready())
            assert console.tag == "RELOAD"
    for size in range(30, 50):
        one.general["default_pool_size"] = size - 20
        one.write()
        consoles[0].wire.send(query("RELOAD"))
        one.general["default_pool_size"] = size
        one.write()
        one.process.signal(signal.SIGHUP)
        consoles[0].table(consoles[0].wire.read_ready())
        wait_until(lambda: consoles[1].row("SHOW CONFIG", key="default_pool_size")["value"] == str(size), 5, "the last state of the files", 0.005)


def test_times_that_are_running(pooler, postgres):
    """Times that a reload shortens hold for what is there already: clients that wait, server connections that live."""
    one = pooler(default_pool_size=1, checkout_timeout=120000)
    holder, waiter = one.connect(), one.connect()
    holder.ask("BEGIN; SELECT 1")
    waiter.send(query("SELECT 1"))
    wait_until(lambda: Console(one.console()).row("SHOW POOLS", database=DATABASE, user=USER)["cl_waiting"] == "1", 5, "a client that waits", 0.05)
    one.general["checkout_timeout"] = 200
    reload(one)
    kind, body = waiter.read()
    assert (kind, wireclient.error_fields(body)["M"]) == (b"E", "checkout timeout")
    holder.ask("COMMIT")
    assert len(postgres.server_pids(USER)) == 1
    one.general.update(server_lifetime=300, checkout_timeout=120000)
    reload(one)
    wait_until(lambda: postgres.server_pids(USER) == [], 10, "the end of a connection that is too old")
    assert holder.one("SELECT 1") == "1"


def test_min_pool_size_is_given_up(pooler, postgres):
    """Also the part of it that has gone to another core with its permit."""
    one = pooler(default_pool_size=1, min_pool_size=1, workers=2, idle_timeout=300, users=[user_row(USER)])
    wires = crowd.all_connected(one, 2)
    assert len({wire.pid >> 20 for wire in wires}) == 2
    for wire in wires:
        assert wire.one("SELECT 1") == "1"
        time.sleep(0.8)
        assert len(postgres.server_pids(USER)) == 1, "min_pool_size is not kept"
        one.general["min_pool_size"] = 0
        reload(one)
        wait_until(lambda: postgres.server_pids(USER) == [], 10, "the end of the last connection")
        one.general["min_pool_size"] = 1
        reload(one)


def test_a_user_loses_a_database(pooler, postgres):
    """Its clients are told so, and not that there is no database."""
    one = pooler(users=[user_row(USER), user_row("sam")], workers=2)
    wire, sam = one.connect(), one.connect("sam")
    del one.users[1]
    reload(one)
    kind, body = sam.read()
    fields = wireclient.error_fields(body)
    assert kind == b"E" and fields["C"] == "57P01" and "access to the database was removed" in fields["M"], fields
    assert wire.one("SELECT 1") == "1"


def test_descriptors_are_counted_anew(pooler, postgres):
    one = pooler(descriptors=400, max_client_conn=100)
    assert "file descriptors are allowed" not in one.log()
    one.general["default_pool_size"] = 300
    reload(one)
    wait_until(lambda: "only 400 file descriptors are allowed, but 100 clients" in one.log(), what="the line in the log")
    assert one.connect().one("SELECT 1") == "1"


def test_what_needs_a_restart_is_said(pooler, postgres):
    one = pooler()
    port = one.general.get("port", one.port)
    one.general["port"] = 1
    reload(one)
    wait_until(lambda: "general.port has changed, which needs a restart" in one.log(), what="the line in the log")
    assert one.connect().one("SELECT 1") == "1"
    one.general["port"] = port


def test_50_reloads_under_load(pooler, postgres):
    """Clients notice nothing: no error, no wrong answer, whatever changes beside them."""
    one = pooler(databases=[database_row(postgres), database_row(postgres, "beside")],
                 users=[user_row(USER, None, all_databases=True)], default_pool_size=4, workers=4)
    wires = crowd.all_connected(one, 12)
    ends = threading.Event()
    errors = []

    def work(i, wire):
        n = 0
        try:
            while not ends.is_set():
                n += 1
                if wire.one("SELECT %d" % (i * 1000000 + n)) != str(i * 1000000 + n):
                    raise ValueError("client %d got somebody else's answer" % i)
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(wires)]
    for thread in threads:
        thread.start()
    for turn in range(50):
        one.general["default_pool_size"] = 1 + turn % 7
        if turn % 2:
            one.databases.append(database_row(postgres, "extra%d" % turn))
        elif len(one.databases) > 3:
            del one.databases[2]
        reload(one)
    ends.set()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert one.connect(database="beside").one("SELECT 1") == "1"


# ---- what happens to one database while another one works ------------------------------------------------------------

BESIDE = "beside"
ENDED = {"57P01", "closed"}  # "closed": the connection ended while a query was on its way, and the reason was lost with it


class FullLoad:
    """Clients that ask again as soon as they are answered, from one thread. Every answer is checked."""

    def __init__(self, wires):
        self.wires, self.answers, self.longest_s, self.problem = wires, [0] * len(wires), 0.0, None
        self.asked, self.waiting = [0.0] * len(wires), set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self._work()
        except Exception as error:  # pylint: disable=broad-except
            self.problem = error

    def _ask(self, i):
        self.asked[i] = time.monotonic()
        self.waiting.add(i)
        self.wires[i].send(query("SELECT %d" % (i * 1000000 + self.answers[i])))

    def _take(self, i):
        rows = wireclient.Wire.rows(self.wires[i].read_ready())
        if rows != [[str(i * 1000000 + self.answers[i])]]:
            raise ValueError("client %d got %r after %d answers" % (i, rows, self.answers[i]))
        self.longest_s = max(self.longest_s, time.monotonic() - self.asked[i])
        self.answers[i] += 1
        self.waiting.discard(i)

    def _work(self):
        poll = select.poll()
        by_fd = {wire.sock.fileno(): i for i, wire in enumerate(self.wires)}
        for fd, i in by_fd.items():
            poll.register(fd, select.POLLIN)
            self._ask(i)
        while self.waiting:
            for fd, _ in poll.poll(100):
                self._take(by_fd[fd])
                if not self.over.is_set():
                    self._ask(by_fd[fd])

    def end(self):
        self.over.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), "%d clients are not answered" % len(self.waiting)
        if self.problem:
            raise self.problem


class Neighbours:
    """Clients of the other database. They come back when they are disconnected, and keep what they were told."""

    def __init__(self, one, count):
        self.one, self.password = one, harness.ROLES["sam"][0]
        self.answered, self.failed, self.errors, self.wrong = [0] * count, [0] * count, set(), []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(i,)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def _work(self, i):
        wire = None
        while not self.over.is_set():
            try:
                if wire is None:
                    wire = wireclient.connect(self.one.address, "sam", self.password, BESIDE)
                rows = wire.ask("SELECT 'neighbour %d'" % i)
                if rows != [["neighbour %d" % i]]:
                    self.wrong.append((i, rows))
                self.answered[i] += 1
                self.over.wait(0.001)
            except (wireclient.WireError, OSError) as error:
                self.errors.add(error.sqlstate if isinstance(error, wireclient.ServerError) else
                                "closed" if isinstance(error, (wireclient.Closed, OSError)) else repr(error))
                self.failed[i] += 1
                wire = wire and wire.drop()
                self.over.wait(0.005)
        if wire is not None:
            wire.drop()

    def each(self, counts, more, what):
        """Waits until each of them has so many more."""
        before = list(counts)
        wait_until(lambda: all(now >= then + more for now, then in zip(counts, before)), 20, what, 0.001)

    def served(self, but=()):
        """Each is answered to what it asked after this moment; the errors since the last time are these at most."""
        self.each(self.answered, 2, "service for the other database")
        errors, self.errors = self.errors, set()
        assert errors <= set(but), errors

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.wrong, self.wrong[:5]


@pytest.mark.parametrize("workers", (1, 4))
def test_switchover(pooler, postgres, fault_postgres, workers):
    """PAUSE, another server in the file, RELOAD, RESUME, there and back: clients at full load see no error, and no two servers at a time."""
    one = pooler(default_pool_size=4, workers=workers)
    console, wires = Console(one.console()), crowd.all_connected(one, 12)
    load = FullLoad(wires)
    try:
        for server, before in ((fault_postgres, postgres), (postgres, fault_postgres)):
            console.says("PAUSE " + DATABASE)
            wait_until(lambda: before.server_pids(USER) == [], what="the end of the old server's sessions")
            one.databases[0]["port"] = server.port
            one.write()
            console.says("RELOAD")
            answers = list(load.answers)
            console.says("RESUME " + DATABASE)
            wait_until(lambda: all(now > then + 2 for now, then in zip(load.answers, answers)), 20, "answers of the new server", 0.01)
            assert before.server_pids(USER) == []
            with one.connect() as wire:
                assert wire.one("SHOW port") == str(server.port)
    finally:
        load.end()


def refused(one, password):
    with pytest.raises(wireclient.ServerError) as caught:
        one.connect("sam", password, database=BESIDE)
    return caught.value


def five_reloads(one, console, neighbours, turn):
    """Each changes something of the other database."""
    row, user = one.databases[1], one.users[1]

    def say():
        one.write()
        assert console.says("RELOAD") == "RELOAD"

    row["pool_size"] = 3 + turn % 4
    say()
    neighbours.served()
    row["pooler_mode"] = ("statement", "session")[turn % 2]
    say()
    neighbours.served()
    before, user["password"] = user["password"], "password %d" % turn
    say()
    neighbours.password = user["password"]
    assert refused(one, before).sqlstate == "28P01"
    one.connect("sam", user["password"], database=BESIDE).close()
    neighbours.served()
    one.databases.remove(row)
    say()
    neighbours.each(neighbours.failed, 1, "an end for the clients of a database that is gone")
    row["pooler_mode"] = "transaction"  # PAUSE would wait for sessions
    one.databases.append(row)
    say()
    neighbours.served(but=ENDED | {"3D000"})


def every_command(one, console, neighbours):
    """What the console can do to the other database."""
    console.says("PAUSE " + BESIDE)
    console.says("RESUME " + BESIDE)
    neighbours.served()
    console.says("RECONNECT " + BESIDE)
    neighbours.served()
    console.says("KILL " + BESIDE)
    console.says("RESUME " + BESIDE)
    neighbours.served(but=ENDED)
    console.says("DISABLE " + BESIDE)
    assert "disabled" in refused(one, neighbours.password).text
    neighbours.served()
    console.says("ENABLE " + BESIDE)
    one.connect("sam", neighbours.password, database=BESIDE).close()
    neighbours.served()


def two_databases(pooler, postgres, workers):
    users = [user_row(USER), user_row("sam", None, all_databases=True, server_password=harness.ROLES["sam"][0])]
    one = pooler(databases=[database_row(postgres), database_row(postgres, BESIDE)], users=users, default_pool_size=4, workers=workers)
    return one, Console(one.console()), Neighbours(one, 3)


@pytest.mark.parametrize("workers", (1, 2, 4))
def test_nobody_notices_what_happens_beside(pooler, postgres, workers):
    """50 reloads that change another database (its size, mode, password, its removal and return), and all that the console can do to
    it: a database at full load sees no error, and that other one no more than what was asked for means."""
    one, console, neighbours = two_databases(pooler, postgres, workers)
    load = FullLoad(crowd.all_connected(one, 12))
    began = time.monotonic()
    try:
        neighbours.served()
        for turn in range(10):
            five_reloads(one, console, neighbours, turn)
            every_command(one, console, neighbours)
    finally:
        neighbours.end()
        load.end()
    assert min(load.answers) >= 20, load.answers
    harness.measured("answers in %.1f s" % (time.monotonic() - began), "%d" % sum(load.answers))
    harness.measured("the longest of them, ms", "%.0f" % (load.longest_s * 1e3))


PGBENCH = """\\set wanted random(1, 1000000000)
SELECT :wanted AS got \\gset
\\if :got <> :wanted
SELECT 'a wrong answer'::int;
\\endif
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", (1, 2, 4))
def test_pgbench_notices_nothing_of_what_happens_beside(pooler, postgres, workers):
    """The same for 30 s, as often as it goes."""
    one, console, neighbours = two_databases(pooler, postgres, workers)
    environment = dict(os.environ, PGPASSWORD=PASSWORD, PGSSLMODE="disable")
    load = subprocess.Popen([harness.postgres_binary("pgbench"), "-n", "-f", one.directory.write("beside.sql", PGBENCH), "-c", "16", "-T", "30",
                             "-h", one.host, "-p", str(one.port), "-U", USER, DATABASE],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    turns = 0
    try:
        while load.poll() is None:
            five_reloads(one, console, neighbours, turns)
            every_command(one, console, neighbours)
            turns += 1
    finally:
        neighbours.end()
        load.kill()
        out, _ = load.communicate()
    assert load.returncode == 0 and not any(word in out for word in ("aborted", "ERROR", "FATAL")), out
    assert turns >= 10, "fewer than 50 reloads"
    harness.measured("reloads", "%d" % (5 * turns))
    for line in out.splitlines():
        if line.startswith(("number of transactions actually", "tps")):
            harness.measured("pgbench", line)
