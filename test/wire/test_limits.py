"""The limits that hold over all cores, each with PgBouncer's name and text. Whoever is over one gets an error, nobody else notices."""
import threading
import time

import pytest

import crowd
import harness
import wireclient
from console import Console
from harness import DATABASE, USER, database_row, user_row, wait_until
from wireclient import query

pytestmark = pytest.mark.pgring_only
OTHER = "other"
WORKERS = (1, 4)


def refused(pooler, text, **options):
    with pytest.raises(wireclient.ServerError) as caught:
        pooler.connect(**options)
    fields = caught.value.fields
    assert (fields["S"], fields["C"], fields["M"]) == ("FATAL", "53300", text)


# ---- clients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
def test_max_client_conn(pooler, workers):
    one = pooler(max_client_conn=8, workers=workers)
    wires = crowd.all_connected(one, 8)
    console = Console(one.console())
    for _ in range(6):
        refused(one, "no more connections allowed (max_client_conn)")
        refused(one, "no more connections allowed (max_client_conn)", user="nobody", password="x")
    crowd.ask_all(wires, "SELECT 1")
    wait_until(lambda: len(console.ask("SHOW CLIENTS")) == 9, what="the end of those who were refused")  # the console is not counted
    wires[3].close()
    wires[5].drop(reset=True)
    wait_until(lambda: len(console.ask("SHOW CLIENTS")) == 7, 3, "two that left", 0.02)
    crowd.all_connected(one, 2)
    refused(one, "no more connections allowed (max_client_conn)")
    assert sum(int(r["clients_refused"]) for r in console.ask("SHOW CORES")) == 13


def test_who_never_logs_in_is_counted(pooler):
    """Otherwise the limit would not protect anything."""
    one = pooler(max_client_conn=3, workers=2)
    silent = [one.wire() for _ in range(5)]  # have not said who they are
    crowd.all_connected(one, 1)
    for wire in silent[:2]:
        wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE)]))
        wire.read()
    refused(one, "no more connections allowed (max_client_conn)")
    silent[0].drop()
    wait_until(lambda: can_connect(one), 3, "a place", 0.05)


def can_connect(pooler, **options):
    try:
        pooler.connect(**options).drop()
        return True
    except wireclient.ServerError:
        return False


def test_cancel_requests_are_no_clients(pooler):
    one = pooler(max_client_conn=1)
    wire = one.connect()
    wire.send(query("SELECT pg_sleep(60)"))
    one.postgres.await_active("pg_sleep(60)")
    wire.cancel()
    errors = [wireclient.error_fields(body)["C"] for kind, body in wire.read_ready() if kind == b"E"]
    assert errors == ["57014"]


@pytest.mark.parametrize("workers", WORKERS)
def test_clients_of_a_database(pooler, postgres, workers):
    one = pooler(databases=[database_row(postgres, max_db_client_connections=3), database_row(postgres, name=OTHER)],
                 users=[user_row(USER, None, all_databases=True)], max_db_client_connections=5, workers=workers)
    text = "client connections exceeded (max_db_client_connections)"
    wires = crowd.all_connected(one, 3) + crowd.all_connected(one, 5, database=OTHER)
    refused(one, text)
    refused(one, text, database=OTHER)
    with pytest.raises(wireclient.ServerError) as caught:
        one.connect(password="wrong")
    assert caught.value.fields["C"] == "28P01", "the password comes first"
    crowd.ask_all(wires, "SELECT 1")
    console = Console(one.console())
    rows = {r["name"]: (r["max_client_connections"], r["current_client_connections"]) for r in console.ask("SHOW DATABASES")}
    assert rows == {DATABASE: ("3", "3"), OTHER: ("5", "5")}
    wires[0].close()
    wait_until(lambda: can_connect(one), 3, "a place", 0.05)


@pytest.mark.parametrize("workers", WORKERS)
def test_clients_of_a_user(pooler, postgres, workers):
    one = pooler(databases=[database_row(postgres), database_row(postgres, name=OTHER)], workers=workers,
                 users=[user_row(USER, None, all_databases=True, max_user_client_connections=4)], max_user_client_connections=1)
    text = "client connections exceeded (max_user_client_connections)"
    wires = crowd.all_connected(one, 2) + crowd.all_connected(one, 2, database=OTHER)
    refused(one, text)
    refused(one, text, database=OTHER)
    row = Console(one.console()).row("SHOW USERS", name=USER)
    assert (row["max_user_client_connections"], row["current_client_connections"]) == ("4", "4")
    crowd.ask_all(wires, "SELECT 1")


@pytest.mark.parametrize("workers", WORKERS)
def test_limits_are_exact_in_a_rush(pooler, postgres, workers):
    """Many at once for few places: exactly as many get in, whatever the cores do at the same time."""
    one = pooler(max_db_client_connections=10, auth_type="trust", workers=workers)
    for _ in range(5):
        wires = [one.wire() for _ in range(60)]
        for wire in wires:
            wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE)]))
        got = crowd.answers(wires)
        assert len(got) == 60
        inside = [messages for _, messages, _ in got if messages[-1][0] == b"Z"]
        assert len(inside) == 10
        for wire in wires:
            wire.drop()
        wait_until(lambda: Console(one.console()).row("SHOW DATABASES", name=DATABASE)["current_client_connections"] == "0", 3, "an empty house",
                   0.02)


def test_limits_below_what_is_connected(pooler):
    """A reload that lowers a limit disconnects nobody; newcomers are refused until enough have left."""
    one = pooler(max_client_conn=20, workers=2)
    console = Console(one.console())
    wires = crowd.all_connected(one, 6)
    one.general.update(max_client_conn=3)
    one.write()
    console.says("RELOAD")
    crowd.ask_all(wires, "SELECT 1")
    for wire in wires[3:]:
        refused(one, "no more connections allowed (max_client_conn)")
        wire.close()
    wait_until(lambda: len(console.ask("SHOW CLIENTS")) == 4, 3, "three that left", 0.02)
    refused(one, "no more connections allowed (max_client_conn)")
    wires[0].close()
    wait_until(lambda: can_connect(one), 3, "a place", 0.05)
    crowd.ask_all(wires[1:3], "SELECT 1")


# ---- server connections ----------------------------------------------------------------------------------------------

HELD = "SELECT pg_sleep(%s)"


def hold_at_once(wires):
    """Each has a server of its own, all at the same time."""
    crowd.ask_all(wires, "BEGIN; SELECT 1")
    crowd.ask_all(wires, "COMMIT")


NAP = "SELECT %%d FROM pg_sleep(%s)"


def two_databases(pooler, postgres, workers, **general):
    """Two names for the same database, so that pools share the user, and two users, so that they share a database."""
    return pooler(databases=[database_row(postgres), database_row(postgres, name=OTHER)], workers=workers, min_pool_size=0,
                  users=[user_row(USER, None, all_databases=True), user_row("sam", None, all_databases=True)], **general)


class Watch:
    """What the console says of the server connections of all databases and users, again and again while something goes on."""

    def __init__(self, one):
        self.console = Console(one.console())
        self.most = {}

    def look(self):
        for show in ("DATABASES", "USERS"):
            for row in self.console.ask("SHOW " + show):
                self.most[show, row["name"]] = max(self.most.get((show, row["name"]), 0), int(row["current_connections"]))
        return self.most


def run_load(one, groups, seconds, least, watch=None, sql=None):
    """Each client of the groups (a dict of options) asks short queries (or those of `sql`, by group) for so long, and until each group has got as
    many answers as `least` says. Returns how many each has got; every one must be right."""
    wires = [(name, one.connect(**options)) for name, (count, options) in groups.items() for _ in range(count)]
    done, errors, ends = {name: 0 for name in groups}, [], threading.Event()
    lock = threading.Lock()
    least = least if isinstance(least, dict) else dict.fromkeys(groups, least)

    def work(name, wire):
        n = 0
        try:
            while not ends.is_set():
                if wire.one((sql[name] if sql else "SELECT %d") % n) != str(n):
                    raise ValueError("a wrong answer")
                n += 1
                with lock:
                    done[name] += 1
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in wires]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds

    def is_enough():
        return time.monotonic() >= deadline and all(done[name] >= least[name] for name in groups)

    while not is_enough() and not errors and time.monotonic() < deadline + harness.PATIENCE_S:
        if watch:
            watch.look()
        time.sleep(0.01)
    ends.set()
    for thread in threads:
        thread.join(60)
    for _, wire in wires:
        wire.close()
    assert not errors, errors[:3]
    assert all(done[name] >= least[name] for name in groups), done
    return done


@pytest.mark.parametrize("workers", WORKERS)
def test_servers_of_a_database(pooler, postgres, workers):
    """Two users share three connections; both get on, and the other database has what it likes."""
    one = two_databases(pooler, postgres, workers, default_pool_size=6, max_db_connections=3)
    watch = Watch(one)
    groups = {"a": (6, {}), "b": (6, {"user": "sam", "password": harness.ROLES["sam"][0]})}
    run_load(one, groups, 2, 50, watch)
    assert watch.most["DATABASES", DATABASE] == 3, watch.most
    assert watch.console.row("SHOW DATABASES", name=DATABASE)["max_connections"] == "3"


@pytest.mark.parametrize("workers", WORKERS)
def test_servers_of_a_user(pooler, postgres, workers):
    one = two_databases(pooler, postgres, workers, default_pool_size=6, max_user_connections=2)
    watch = Watch(one)
    run_load(one, {"a": (5, {}), "b": (5, {"database": OTHER})}, 2, 50, watch)
    assert watch.most["USERS", USER] == 2, watch.most
    assert watch.console.row("SHOW USERS", name=USER)["max_user_connections"] == "2"


@pytest.mark.parametrize("workers", WORKERS)
def test_nobody_starves(pooler, postgres, workers):
    """One place, and one user whose clients never leave it idle."""
    one = two_databases(pooler, postgres, workers, max_db_connections=1)
    watch = Watch(one)
    run_load(one, {"many": (8, {}), "lonely": (1, {"user": "sam", "password": harness.ROLES["sam"][0]})}, 2, {"many": 50, "lonely": 5}, watch)
    assert watch.most["DATABASES", DATABASE] == 1


@pytest.mark.parametrize("workers", WORKERS)
def test_short_under_two_limits(pooler, postgres, workers):
    """One place for the database and one for the user, both in use by long transactions that follow each other: who needs both gets
    them, although they are never free at the same time."""
    one = two_databases(pooler, postgres, workers, max_db_connections=1, max_user_connections=1)
    sam = {"user": "sam", "password": harness.ROLES["sam"][0]}
    groups = {"database": (2, {}), "user": (2, {"database": OTHER, **sam}), "both": (1, sam)}
    began = time.monotonic()
    done = run_load(one, groups, 3, 2, sql={"database": NAP % "0.35", "user": NAP % "0.25", "both": "SELECT %d"})
    harness.measured("needs both, s for each answer", "%.2f" % ((time.monotonic() - began) / done["both"]))


@pytest.mark.parametrize("workers", WORKERS)
def test_idle_servers_make_room(pooler, postgres, workers):
    """A pool's idle connections are closed at once for another one's client, whichever core has them."""
    one = two_databases(pooler, postgres, workers, default_pool_size=8, max_db_connections=4)
    wires = crowd.all_connected(one, 8)
    hold_at_once(wires[:4])
    console = Console(one.console())
    assert console.row("SHOW DATABASES", name=DATABASE)["current_connections"] == "4"
    sams = crowd.all_connected(one, 4, user="sam", password=harness.ROLES["sam"][0])
    began = time.monotonic()
    hold_at_once(sams)
    assert time.monotonic() - began < harness.at_most(2.5)
    rows = {r["user"]: int(r["sv_total"]) for r in console.ask("SHOW POOLS") if r["database"] == DATABASE}
    assert rows[USER] + rows["sam"] <= 4 and rows["sam"] >= 1, rows
    assert sum(int(r["evictions"]) for r in console.ask("SHOW CORES")) >= 1


@pytest.mark.parametrize("workers", WORKERS)
def test_checkout_timeout_without_a_place(pooler, postgres, workers):
    one = two_databases(pooler, postgres, workers, max_db_connections=1, checkout_timeout=2000)
    holder, waiter = one.connect(), one.connect(user="sam", password=harness.ROLES["sam"][0])
    holder.ask("BEGIN")
    assert holder.one("SELECT 1") == "1"
    began = time.monotonic()
    waiter.send(query("SELECT 1"))
    fields = [wireclient.error_fields(body) for kind, body in waiter.read_ready() if kind == b"E"]
    assert fields[0]["M"] == "checkout timeout" and "max_db_connections" in fields[0]["H"]
    assert time.monotonic() - began > 1.9
    holder.ask("COMMIT")
    assert waiter.one("SELECT 1") == "1"


def test_a_limit_comes_and_goes_with_a_reload(pooler, postgres):
    one = two_databases(pooler, postgres, 4, default_pool_size=8)
    wires = crowd.all_connected(one, 8)
    hold_at_once(wires)
    console = Console(one.console())
    assert int(console.row("SHOW DATABASES", name=DATABASE)["current_connections"]) > 3
    one.general["max_db_connections"] = 3
    one.write()
    console.says("RELOAD")

    def comes_down():
        crowd.ask_all(wires, "SELECT 1")
        return int(console.row("SHOW DATABASES", name=DATABASE)["current_connections"]) <= 3

    wait_until(comes_down, 5, "fewer connections", 0.02)
    one.databases[0]["max_db_connections"] = 0
    one.write()
    console.says("RELOAD")
    hold_at_once(wires)
    assert int(console.row("SHOW DATABASES", name=DATABASE)["current_connections"]) > 3


# ---- the reserve -----------------------------------------------------------------------------------------------------

def reserve(pooler, postgres, workers, **general):
    return two_databases(pooler, postgres, workers, **{"default_pool_size": 1, "reserve_pool_size": 2, "reserve_pool_timeout": 300,
                                                       "checkout_timeout": 20000, **general})


def servers_of(console, user=USER, database=DATABASE):
    return sum(int(row["sv_total"]) for row in console.ask("SHOW POOLS") if row["user"] == user and row["database"] == database)


@pytest.mark.parametrize("workers", WORKERS)
def test_reserve_for_who_waits_long(pooler, postgres, workers):
    """Beyond pool_size after reserve_pool_timeout, not before, and no further than reserve_pool_size; what is not needed is given back."""
    one = reserve(pooler, postgres, workers, idle_timeout=500)
    console = Console(one.console())
    wires = crowd.all_connected(one, 5)
    wires[0].ask("BEGIN")
    assert wires[0].one("SELECT 1") == "1"
    for wire in wires[1:3]:
        began = time.monotonic()
        wire.ask("BEGIN")
        assert wire.one("SELECT 1") == "1"
        assert time.monotonic() - began > 0.29, "the reserve was used at once"
    assert servers_of(console) == 3
    for wire in wires[3:]:
        wire.send(query("SELECT 1"))
    time.sleep(0.5)
    assert servers_of(console) == 3, "more than pool_size and reserve_pool_size"
    for wire in wires[:3]:
        wire.ask("COMMIT")
    assert len(crowd.answers(wires[3:])) == 2
    wait_until(lambda: servers_of(console) <= 1 and len(postgres.server_pids(USER)) <= 1, 20, "the reserve to be given back")

    def is_given_back():
        """One whose connection was closing is given back at the next look, unless somebody waits for it."""
        time.sleep(0.4)
        for wire in wires[:2]:
            wire.ask("BEGIN")
        assert wires[0].one("SELECT 1") == "1"
        began = time.monotonic()
        assert wires[1].one("SELECT 1") == "1"
        took = time.monotonic() - began
        for wire in wires[:2]:
            wire.ask("COMMIT")
        return took > 0.29

    wait_until(is_given_back, what="a wait for the reserve as at the beginning")
    assert sum(int(r["reserve_uses"]) for r in console.ask("SHOW CORES")) == 3


@pytest.mark.parametrize("workers", WORKERS)
def test_reserve_in_a_rush(pooler, postgres, workers):
    """Never more connections than both numbers together, whichever cores the clients are on."""
    one = reserve(pooler, postgres, workers, default_pool_size=2, reserve_pool_timeout=20)
    watch = Watch(one)
    wires = crowd.all_connected(one, 24)
    for wire in wires:
        wire.send(query(HELD % "0.1"))
    got, deadline = set(), time.monotonic() + harness.PATIENCE_S
    while len(got) < len(wires) or watch.most["DATABASES", DATABASE] < 4:
        assert time.monotonic() < deadline, (len(got), watch.most)
        watch.look()
        for i, _, _ in crowd.answers(wires, 0.02):
            got.add(i)
            wires[i].send(query(HELD % "0.1"))
    assert watch.most["DATABASES", DATABASE] == 4, watch.most


def test_no_reserve_without_a_timeout(pooler, postgres):
    """reserve_pool_timeout = 0 is never, as with PgBouncer; and a reload puts the reserve to use."""
    one = reserve(pooler, postgres, 1, reserve_pool_timeout=0)
    console = Console(one.console())
    holder, waiter = one.connect(), one.connect()
    holder.ask("BEGIN")
    assert holder.one("SELECT 1") == "1"
    waiter.send(query("SELECT 2"))
    time.sleep(0.5)
    assert servers_of(console) == 1
    one.general["reserve_pool_timeout"] = 100
    one.write()
    console.says("RELOAD")
    assert len(crowd.answers([waiter])) == 1
    assert servers_of(console) == 2
