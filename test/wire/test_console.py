"""The console: an ordinary connection to the database `admin` that answers commands instead of SQL."""
import os
import signal
import subprocess
import time

import pytest

import crowd
import harness
import wireclient
from harness import DATABASE, PASSWORD, USER, database_row, user_row, wait_until
from wireclient import SYNC, bind, describe_portal, describe_statement, execute, parse, query

TEXT = 25

# What the tools that people point at a console look for (PgBouncer's manual, "SHOW" commands).
PGBOUNCER = {
    "DATABASES": "name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime pool_mode load_balance_hosts "
                 "max_connections current_connections max_client_connections current_client_connections paused disabled",
    "POOLS": "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled sv_idle "
             "sv_used sv_tested sv_login maxwait maxwait_us pool_mode load_balance_hosts",
    "CLIENTS": "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ptr link "
               "remote_pid tls application_name prepared_statements id",
    "SERVERS": "type user database replication state addr port local_addr local_port connect_time request_time wait wait_us close_needed ptr link "
               "remote_pid tls application_name prepared_statements id",
    "STATS": "database total_server_assignment_count total_xact_count total_query_count total_received total_sent total_xact_time total_query_time "
             "total_wait_time total_client_parse_count total_server_parse_count total_bind_count avg_server_assignment_count avg_xact_count "
             "avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time avg_client_parse_count avg_server_parse_count avg_bind_count",
}

class Console:
    """A console client whose answers come as lists of dictionaries."""

    def __init__(self, wire):
        self.wire = wire
        self.tag = None
        self.notices = []
        self.columns = []

    def ask(self, command):
        self.wire.send(query(command))
        return self.table(self.wire.read_ready())

    def table(self, messages):
        rows, self.notices, self.columns = [], [], []
        for kind, body in messages:
            if kind == b"E":
                raise wireclient.ServerError(wireclient.error_fields(body))
            if kind == b"T":
                self.columns = wireclient.row_description(body)
            elif kind == b"D":
                values = [None if v is None else v.decode() for v in wireclient.data_row(body)]
                assert len(values) == len(self.columns)
                rows.append(dict(zip((c[0] for c in self.columns), values)))
            elif kind == b"N":
                self.notices += wireclient.error_fields(body).values()
            elif kind == b"C":
                self.tag = body[:-1].decode()
        assert messages[-1] == (b"Z", b"I")
        return rows

    def row(self, command, **where):
        rows = [r for r in self.ask(command) if all(r[k] == v for k, v in where.items())]
        assert len(rows) == 1, "%d rows of %s with %s" % (len(rows), command, where)
        return rows[0]

    def refused(self, command):
        """The error fields; the connection must go on."""
        with pytest.raises(wireclient.ServerError) as caught:
            self.ask(command)
        assert caught.value.fields["S"] == "ERROR"
        self.ask("SHOW VERSION")
        return caught.value.fields


@pytest.fixture
def shop(pooler, postgres):
    """A pooler with a console."""

    def start(**general):
        one = pooler(**general)
        return one, Console(one.console())

    return start


# ---- getting in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", ("scram", "md5", "plain"))
def test_login(pooler, auth_type):
    one = pooler(auth_type=auth_type)
    assert Console(one.console()).ask("SHOW VERSION")
    with pytest.raises(wireclient.ServerError):
        one.connect(one.admin["user"], "wrong", one.admin["name"])
    with pytest.raises(wireclient.ServerError):
        one.connect(one.admin["user"], "", one.admin["name"])


@pytest.mark.pgring_only
def test_trust_does_not_open_the_console(pooler):
    """Whatever the others need: the console wants its password."""
    one = pooler(auth_type="trust")
    assert one.connect().one("SELECT 1") == "1"
    with pytest.raises(wireclient.ServerError):
        one.connect(one.admin["user"], "wrong", one.admin["name"])
    assert Console(one.console()).ask("SHOW VERSION")


def test_only_the_administrator(pooler):
    one = pooler()
    with pytest.raises(wireclient.ServerError):
        one.connect(USER, PASSWORD, one.admin["name"])
        one.connect(USER, PASSWORD, one.admin["name"]).ask("SHUTDOWN")
    with pytest.raises(wireclient.ServerError):
        one.connect(one.admin["user"], one.admin["password"], DATABASE)
        one.connect(one.admin["user"], one.admin["password"], DATABASE).ask("SELECT 1")


@pytest.mark.pgring_only
def test_other_names(pooler):
    one = pooler(admin={"name": "console", "user": "root", "password": "r"})
    assert Console(one.connect("root", "r", "console")).ask("SHOW VERSION")


@pytest.mark.pgring_only
def test_password_from_the_environment(pooler):
    one = pooler(admin={"password": None}, env={"PGDOG_ADMIN_PASSWORD": "from outside"})
    assert Console(one.connect("admin", "from outside", "admin")).ask("SHOW VERSION")


def test_parameters_that_drivers_need(pooler):
    wire = pooler().console()
    for name in ("server_version", "client_encoding", "server_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"):
        assert wire.parameters.get(name), name


# ---- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", PGBOUNCER)
def test_columns_of_pgbouncer(shop, command):
    one, console = shop()
    one.connect().ask("SELECT 1")
    rows = console.ask("SHOW " + command)
    assert rows
    have = [c[0] for c in console.columns]
    wanted = PGBOUNCER[command].split()
    assert [name for name in wanted if name not in have] == []
    assert len(have) == len(set(have)), "a name stands twice"


def test_version(shop):
    _, console = shop()
    rows = console.ask("SHOW VERSION")
    assert len(rows) == 1 and list(rows[0]) == ["version"]
    assert harness.TARGET in rows[0]["version"].lower()
    assert console.columns[0][3] == TEXT and console.tag == "SHOW"


def test_help(shop):
    _, console = shop()
    rows = console.ask("SHOW HELP")
    everything = " ".join(console.notices + [str(value) for r in rows for value in r.values()])
    for command in ("SHOW", "POOLS", "CLIENTS", "SERVERS", "STATS", "CONFIG", "DATABASES", "SHUTDOWN"):
        assert command in everything.upper()


@pytest.mark.pgring_only
def test_config(shop):
    _, console = shop(default_pool_size=7, checkout_timeout=1234)
    rows = console.ask("SHOW CONFIG")
    name = console.columns[0][0]
    assert name in ("key", "name") and console.columns[1][0] == "value" and len(console.columns) in (3, 4)
    values = {r[name]: r["value"] for r in rows}
    assert len(values) == len(rows), "a name stands twice"
    assert values["default_pool_size"] == "7" and values["pooler_mode"] == "transaction"
    assert "1234" in values["checkout_timeout"] or "1.234" in values["checkout_timeout"]
    assert [c[3] for c in console.columns][:2] == [TEXT, TEXT]
    assert not any(harness.ADMIN["password"] in str(value) for r in rows for value in r.values()), "a password is shown"


def test_databases(shop, postgres):
    one, console = shop(default_pool_size=7)
    one.connect().ask("SELECT 1")
    row = console.row("SHOW DATABASES", name=DATABASE)
    assert (row["host"], row["port"], row["database"]) == (postgres.host, str(postgres.port), DATABASE)
    assert row["pool_size"] == "7" and row["current_connections"] == "1"
    assert row["paused"] == "0" and row["disabled"] == "0"


@pytest.mark.parametrize("workers", (1, 4))
def test_pools(shop, workers):
    one, console = shop(default_pool_size=2, workers=workers)
    idle, waiter = one.connect(), one.connect()
    holders = [one.connect(), one.connect()]
    for holder in holders:
        holder.ask("BEGIN; SELECT 1")
    waiter.send(query("SELECT 1"))
    where = {"database": DATABASE, "user": USER}
    wait_until(lambda: console.row("SHOW POOLS", **where)["cl_waiting"] == "1", 3, "one waiting client", 0.05)
    row = console.row("SHOW POOLS", **where)
    assert (row["cl_active"], row["cl_waiting"], row["sv_active"], row["sv_idle"], row["pool_mode"]) == ("3", "1", "2", "0", "transaction")
    time.sleep(1.1)
    row = console.row("SHOW POOLS", **where)
    assert 1 <= int(row["maxwait"]) + int(row["maxwait_us"]) / 1e6 <= 5
    for holder in holders:
        holder.ask("COMMIT")
    waiter.read_ready()
    wait_until(lambda: console.row("SHOW POOLS", **where)["sv_idle"] == "2", 3, "two idle servers", 0.05)
    row = console.row("SHOW POOLS", **where)
    assert (row["cl_active"], row["cl_waiting"], row["sv_active"], row["maxwait"]) == ("4", "0", "0", "0")
    assert idle.one("SELECT 1") == "1"


@pytest.mark.parametrize("workers", (1, 4))
def test_clients(shop, workers):
    one, console = shop(workers=workers)
    wires = [one.connect(parameters=[("application_name", "application %d" % i)]) for i in range(6)]
    for wire in wires:
        wire.ask("SELECT 1")
    wires[5].close()

    def rows():
        return {r["port"]: r for r in console.ask("SHOW CLIENTS") if r["database"] == DATABASE}

    wait_until(lambda: len(rows()) == 5, 3, "five clients", 0.05)
    for i, wire in enumerate(wires[:5]):
        row = rows()[str(wire.sock.getsockname()[1])]
        assert (row["user"], row["addr"], row["application_name"]) == (USER, "127.0.0.1", "application %d" % i)
        assert row["type"] == "C"
    assert len({r["id"] for r in rows().values()}) == 5
    wires[0].ask("BEGIN; SELECT 1")
    states = {port: r["state"] for port, r in rows().items()}
    assert len(set(states.values())) >= 1


@pytest.mark.pgring_only
def test_client_states(shop):
    one, console = shop(default_pool_size=1)
    idle, inside, waiting = one.connect(), one.connect(), one.connect()
    idle.ask("SELECT 1")
    inside.ask("BEGIN; SELECT 1")
    waiting.send(query("SELECT 1"))

    def state(wire):
        return console.row("SHOW CLIENTS", port=str(wire.sock.getsockname()[1]), database=DATABASE)["state"]

    wait_until(lambda: state(waiting) == "waiting", 3, "the state waiting", 0.05)
    assert state(idle) == "idle"
    assert state(inside) not in ("idle", "waiting")
    inside.ask("COMMIT")
    waiting.read_ready()
    wait_until(lambda: state(waiting) == "idle", 3, "the state idle", 0.05)


@pytest.mark.parametrize("workers", (1, 4))
def test_servers(shop, postgres, workers):
    one, console = shop(default_pool_size=3, workers=workers)
    wires = crowd.all_connected(one, 3)
    crowd.ask_all(wires, "BEGIN; SELECT 1")
    rows = [r for r in console.ask("SHOW SERVERS") if r["database"] == DATABASE]
    assert {int(r["remote_pid"]) for r in rows} == {wire.server_pid() for wire in wires} and len(rows) == 3
    for row in rows:
        assert (row["type"], row["user"], row["addr"], row["port"]) == ("S", USER, postgres.host, str(postgres.port))
        assert row["state"] in ("active", "idle in transaction")
    crowd.ask_all(wires, "COMMIT")
    wait_until(lambda: [r["state"] for r in console.ask("SHOW SERVERS")] == ["idle"] * 3, 3, "idle servers", 0.05)


@pytest.mark.parametrize("workers", (1, 4))
def test_stats(shop, workers):
    one, console = shop(workers=workers)
    wires = crowd.all_connected(one, 4)

    def total(name):
        return sum(float(r[name]) for r in console.ask("SHOW STATS") if r["database"] == DATABASE)

    crowd.ask_all(wires, "SELECT 1")
    names = ("total_xact_count", "total_query_count", "total_received", "total_sent", "total_query_time")
    before = {name: total(name) for name in names}
    for wire in wires:
        for _ in range(10):
            wire.ask("SELECT pg_sleep(0.001)")
        wire.ask("BEGIN")
        wire.ask("SELECT 1")
        wire.ask("COMMIT")
    grown = {name: total(name) - before[name] for name in names}
    assert grown["total_xact_count"] == 4 * 11
    assert grown["total_query_count"] == 4 * 13
    assert grown["total_received"] >= 4 * 10 * len(query("SELECT pg_sleep(0.001)"))
    assert grown["total_sent"] >= 4 * 10 * 60
    assert grown["total_query_time"] > 0


def test_unknown_command(shop):
    _, console = shop()
    for command in ("NONSENSE", "SHOW NONSENSE AND MORE", "POOLS", "SHO POOLS", "SHOW", "DROP TABLE items", "INSERT INTO x VALUES (1)", "\x01", "é" * 300):
        assert console.refused(command)["C"] == "08P01"


def test_select_1_fails(shop):
    """pgcli knows a virtual database by it."""
    _, console = shop()
    assert console.refused("SELECT 1")["C"] == "08P01"


def test_spelling(shop):
    _, console = shop()
    for command in ("show version", "SHOW VERSION;", "  Show   Version  ;  ", "SHOW\tVERSION\n;", "sHoW vErSiOn"):
        assert len(console.ask(command)) == 1, command


def test_empty_commands(shop):
    _, console = shop()
    for command in ("", ";", "  ;  "):
        console.wire.send(query(command))
        kinds = [kind for kind, _ in console.wire.read_ready()]
        assert kinds in ([b"I", b"Z"], [b"C", b"Z"]), kinds
    assert console.ask("SHOW VERSION")


def test_long_command(shop):
    one, console = shop()
    for command in ("SHOW " + "x" * 100000, "y" * 1000000, "SHOW VERSION " + "z " * 10000):
        try:
            console.ask(command)
        except wireclient.ServerError as error:
            assert error.sqlstate == "08P01"
            if error.fields["S"] == "FATAL":
                console = Console(one.console())
    assert console.ask("SHOW VERSION")


def test_pipelined_commands(shop):
    _, console = shop()
    console.wire.send(b"".join(query(c) for c in ["SHOW VERSION", "NONSENSE", "SHOW POOLS", "SHOW VERSION"] * 10))
    kinds = [kind for kind, _ in console.wire.read_ready(40)]
    assert kinds.count(b"E") == 10 and kinds.count(b"C") == 30


@pytest.mark.pgring_only
def test_extended_protocol(shop):
    _, console = shop()
    for command in ("SHOW VERSION", "SHOW CONFIG", "SHOW POOLS"):
        simple = console.ask(command)
        console.wire.send(parse(command) + describe_statement() + bind() + describe_portal() + execute() + SYNC)
        messages = console.wire.read_ready()
        kinds = [kind for kind, _ in messages]
        assert kinds[:5] == [b"1", b"t", b"T", b"2", b"T"] and kinds[-2:] == [b"C", b"Z"]
        assert b"D" not in kinds[:5] and len(console.table(messages)) == len(simple), "Describe is no Execute"
    console.wire.send(parse("NONSENSE") + bind() + execute() + SYNC)
    messages = console.wire.read_ready()
    assert messages[0][0] == b"1" or wireclient.error_fields(messages[0][1])["C"] == "08P01"
    assert [kind for kind, _ in messages].count(b"E") == 1
    assert console.ask("SHOW VERSION")


def test_many_consoles_at_once(shop):
    one, console = shop(workers=4)
    wires = [one.console() for _ in range(20)]
    busy = crowd.all_connected(one, 20)
    for _ in range(5):
        for wire in wires:
            wire.send(query("SHOW CLIENTS") + query("SHOW SERVERS") + query("SHOW POOLS") + query("SHOW STATS"))
        crowd.ask_all(busy, "SELECT 1")
        for wire in wires:
            kinds = [kind for kind, _ in wire.read_ready(4)]
            assert kinds.count(b"C") == 4 and b"E" not in kinds


@pytest.mark.pgring_only
def test_console_works_when_the_server_is_down(pooler, postgres):
    one = pooler(databases=[database_row(postgres, port=harness.free_port())])
    console = Console(one.console())
    assert console.ask("SHOW VERSION") and console.ask("SHOW POOLS") and console.ask("SHOW DATABASES")


@pytest.mark.pgring_only
def test_1000_clients_are_listed(pooler):
    one = pooler(auth_type="trust", workers=4)
    wires = crowd.all_connected(one, 1000)
    rows = [r for r in Console(one.console(timeout=30)).ask("SHOW CLIENTS") if r["database"] == DATABASE]
    assert {int(r["port"]) for r in rows} == {wire.sock.getsockname()[1] for wire in wires}


def test_psql_and_psycopg(pooler):
    psycopg = pytest.importorskip("psycopg")
    one = pooler()
    environment = dict(os.environ, PGPASSWORD=one.admin["password"], PGSSLMODE="disable")
    done = subprocess.run([harness.postgres_binary("psql"), "-X", "-h", one.host, "-p", str(one.port), "-U", "admin", "-d", one.admin["name"],
                           "-c", "SHOW POOLS", "-c", "SHOW VERSION"], capture_output=True, text=True, env=environment, timeout=30)
    assert done.returncode == 0 and "cl_active" in done.stdout, done.stderr
    with psycopg.connect("host=%s port=%d user=admin password='%s' dbname=%s sslmode=disable" % (one.host, one.port, one.admin["password"], one.admin["name"]),
                         autocommit=True) as connection:
        assert connection.execute("SHOW POOLS").description[0].name in ("id", "database")


# ---- SHUTDOWN --------------------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
def test_shutdown(shop):
    """Idle clients are sent away, a running transaction may end, and the process leaves with 0."""
    one, console = shop(shutdown_timeout=4000)
    idle, busy = one.connect(), one.connect()
    busy.ask("BEGIN; SELECT 1")
    console.wire.send(query("SHUTDOWN"))
    time.sleep(0.2)
    assert busy.one("SELECT 'still here'") == "still here"
    busy.ask("COMMIT")
    assert one.process.wait(5) == 0
    for wire in (idle, busy):
        for kind, body in wire.read_to_end(2):
            assert wireclient.error_fields(body)["C"] == "57P01"


@pytest.mark.pgring_only
def test_shutdown_without_clients(shop):
    one, console = shop()
    began = time.monotonic()
    console.wire.send(query("SHUTDOWN"))
    assert one.process.wait(5) == 0
    assert time.monotonic() - began < 1.5


@pytest.mark.pgring_only
def test_new_clients_during_shutdown(shop):
    one, console = shop(shutdown_timeout=3000)
    busy = one.connect()
    busy.ask("BEGIN; SELECT 1")
    one.process.signal(signal.SIGTERM)
    time.sleep(0.2)
    began = time.monotonic()
    try:
        one.connect().ask("SELECT 1")
    except wireclient.ServerError as error:
        assert error.sqlstate == "57P01"
    except (wireclient.WireError, OSError):
        pass
    else:
        raise AssertionError("a new client was served")
    assert time.monotonic() - began < 1, "a new client is neither served nor refused"
    busy.ask("COMMIT")
    assert one.process.wait(5) == 0
