"""The console: an ordinary connection to the database `admin` that answers commands instead of SQL."""
import os
import signal
import subprocess
import time

import pytest

import crowd
import harness
import wireclient
from console import Console
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
    "STATS_TOTALS": "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time "
                    "client_parse_count server_parse_count bind_count",
    "STATS_AVERAGES": "database server_assignment_count xact_count query_count bytes_received bytes_sent xact_time query_time wait_time "
                      "avg_client_parse_count avg_server_parse_count avg_bind_count",
    "TOTALS": "name value",
    "LISTS": "list items",
    "USERS": "name pool_size reserve_pool_size pool_mode max_user_connections current_connections max_user_client_connections "
             "current_client_connections",
    "MEM": "name size used free memtotal",
    "STATE": "key value",
    "CONFIG": "key value default changeable",
}

# The types of their columns, where a tool reads them: the letter stands for PostgreSQL's OID.
OIDS = {"s": 25, "i": 23, "q": 20, "n": 1700}
PGBOUNCER_TYPES = {
    "DATABASES": "ssissiiiissiiiiii",
    "POOLS": "ssiiiiiiiiiiiiiss",
    "LISTS": "si",
    "CONFIG": "ssss",
    "STATE": "ss",
    "STATS": "s" + "n" * 22,
    "STATS_TOTALS": "s" + "n" * 11,
    "USERS": "ssssiiii",
    "TOTALS": "sn",
}


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


@pytest.mark.pgring_only
@pytest.mark.parametrize("command", PGBOUNCER)
def test_order_and_types_of_pgbouncer(shop, command):
    """What PgBouncer has comes first, in its order: some tools go by the place."""
    _, console = shop()
    console.ask("SHOW " + command)
    wanted = PGBOUNCER[command].split()
    have = [c[0] for c in console.columns]
    if command == "STATS":
        wanted.insert(wanted.index("total_bind_count") + 1, "total_client_login_count")
    assert have[:len(wanted)] == wanted
    types = [c[3] for c in console.columns]
    letters = PGBOUNCER_TYPES.get(command, "")
    assert types[:len(letters)] == [OIDS[letter] for letter in letters]


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
    began = time.monotonic()
    waiter.send(query("SELECT 1"))
    where = {"database": DATABASE, "user": USER}
    wait_until(lambda: console.row("SHOW POOLS", **where)["cl_waiting"] == "1", 3, "one waiting client", 0.05)
    row = console.row("SHOW POOLS", **where)
    assert (row["cl_active"], row["cl_waiting"], row["sv_active"], row["sv_idle"], row["pool_mode"]) == ("3", "1", "2", "0", "transaction")
    time.sleep(1.1)
    row = console.row("SHOW POOLS", **where)
    assert 1 <= int(row["maxwait"]) + int(row["maxwait_us"]) / 1e6 <= time.monotonic() - began
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
    rows = [r for r in Console(one.console()).ask("SHOW CLIENTS") if r["database"] == DATABASE]
    assert {int(r["port"]) for r in rows} == {wire.sock.getsockname()[1] for wire in wires}


def test_psql_and_psycopg(pooler):
    psycopg = pytest.importorskip("psycopg")
    one = pooler()
    environment = dict(os.environ, PGPASSWORD=one.admin["password"], PGSSLMODE="disable")
    done = subprocess.run([harness.postgres_binary("psql"), "-X", "-h", one.host, "-p", str(one.port), "-U", "admin", "-d", one.admin["name"],
                           "-c", "SHOW POOLS", "-c", "SHOW VERSION"], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0 and "cl_active" in done.stdout, done.stderr
    with psycopg.connect("host=%s port=%d user=admin password='%s' dbname=%s sslmode=disable" % (one.host, one.port, one.admin["password"], one.admin["name"]),
                         autocommit=True) as connection:
        assert connection.execute("SHOW POOLS").description[0].name in ("id", "database")


# ---- SHUTDOWN --------------------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
def test_shutdown(shop):
    """Idle clients are sent away, a running transaction may end, and the process leaves with 0."""
    one, console = shop(shutdown_timeout=600000)
    idle, busy = one.connect(), one.connect()
    busy.ask("BEGIN; SELECT 1")
    console.wire.send(query("SHUTDOWN"))
    wait_until(lambda: "shutting down" in one.log(), what="the line in the log")
    assert busy.one("SELECT 'still here'") == "still here"
    busy.ask("COMMIT")
    assert one.process.wait(5) == 0
    for wire in (idle, busy):
        for kind, body in wire.read_to_end():
            assert wireclient.error_fields(body)["C"] == "57P01"


@pytest.mark.pgring_only
def test_shutdown_without_clients(shop):
    one, console = shop(shutdown_timeout=600000)
    began = time.monotonic()
    console.wire.send(query("SHUTDOWN"))
    assert one.process.wait() == 0
    assert time.monotonic() - began < harness.at_most(1.5)


@pytest.mark.pgring_only
def test_new_clients_during_shutdown(shop):
    one, console = shop(shutdown_timeout=600000)
    busy = one.connect()
    busy.ask("BEGIN; SELECT 1")
    one.process.signal(signal.SIGTERM)
    wait_until(lambda: "shutting down" in one.log(), what="the line in the log")
    began = time.monotonic()
    try:
        one.connect().ask("SELECT 1")
    except wireclient.ServerError as error:
        assert error.sqlstate == "57P01"
    except (wireclient.WireError, OSError):
        pass
    else:
        raise AssertionError("a new client was served")
    assert time.monotonic() - began < harness.at_most(1), "a new client is neither served nor refused"
    busy.ask("COMMIT")
    assert one.process.wait(5) == 0


# ---- the figures are true --------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
@pytest.mark.parametrize("workers", (1, 4))
def test_figures_add_up(shop, workers):
    one, console = shop(workers=workers, default_pool_size=4, healthcheck_interval=400)
    wires = crowd.all_connected(one, 12)
    crowd.ask_all(wires, "SELECT 1")
    for wire in wires[:3]:
        wire.ask("BEGIN; SELECT 1")
    pool = console.row("SHOW POOLS", database=DATABASE, user=USER)
    database = console.row("SHOW DATABASES", name=DATABASE)
    user = console.row("SHOW USERS", name=USER)
    lists = {r["list"]: int(r["items"]) for r in console.ask("SHOW LISTS")}
    cores = console.ask("SHOW CORES")
    assert int(pool["cl_active"]) == 12 and pool["sv_active"] == "3" and pool["sv_idle_xact"] == "3"
    assert database["current_client_connections"] == user["current_client_connections"] == "12"
    assert database["current_connections"] == user["current_connections"] == pool["sv_total"]
    assert lists["used_clients"] == 13 and lists["used_servers"] == int(pool["sv_total"]) and lists["login_clients"] == 0
    assert lists["databases"] == 1 and lists["pools"] == len(console.ask("SHOW POOLS"))
    assert len(cores) == workers and sum(int(r["clients"]) for r in cores) == 13
    assert sum(int(r["servers"]) for r in cores) == int(pool["sv_total"])
    assert sum(int(r["logins"]) for r in cores) == 13 and all(int(r["loop_turns"]) > 0 for r in cores)
    for wire in wires[:3]:
        wire.ask("COMMIT")

    def are_used():
        pool = console.row("SHOW POOLS", database=DATABASE, user=USER)
        return pool["sv_idle"] == "0" and int(pool["sv_used"]) == int(pool["sv_total"]) > 0

    wait_until(are_used, what="being idle for longer than healthcheck_interval")
    assert {r["state"] for r in console.ask("SHOW SERVERS")} == {"used"}


@pytest.mark.pgring_only
@pytest.mark.skipif(harness.binary_is_sanitized(), reason="the allocator of a sanitizer tells nothing")
def test_memory(shop):
    one, console = shop(default_pool_size=1)
    wait_until(lambda: console.row("SHOW MEM", name="client")["used"] == "1", 3, "the end of others", 0.05)
    before = {r["name"]: r for r in console.ask("SHOW MEM")}
    wires = crowd.all_connected(one, 40)
    after = {r["name"]: r for r in console.ask("SHOW MEM")}
    assert int(after["client"]["used"]) - int(before["client"]["used"]) == 40
    for row in after.values():
        assert int(row["memtotal"]) == int(row["size"]) * (int(row["used"]) + int(row["free"]))
    assert harness.SANITIZED or int(after["allocated"]["used"]) > int(after["client"]["memtotal"])
    parts = sum(int(row["memtotal"]) for name, row in after.items() if name not in ("allocated", "resident"))
    assert parts >= int(after["allocated"]["used"]), "the rows do not add up"
    assert int(after["pool"]["used"]) == len(console.ask("SHOW POOLS")) * len(console.ask("SHOW CORES"))
    wires[0].ask("BEGIN; SELECT 1")
    wires[1].send(query("SELECT '%s'" % ("x" * 20000)))
    wait_until(lambda: int(console.row("SHOW MEM", name="client_input")["used"]) > 20000, 3, "the waiting request", 0.05)
    wires[0].ask("COMMIT")
    wires[1].read_ready()
    assert console.row("SHOW MEM", name="client_input")["used"] == "0"


@pytest.mark.pgring_only
def test_addresses(shop):
    one, console = shop()
    wire = one.connect()
    row = console.row("SHOW CLIENTS", database=DATABASE)
    assert (row["addr"], int(row["port"])) == wire.sock.getsockname()
    assert (row["local_addr"], int(row["local_port"])) == wire.sock.getpeername()
    wire.ask("SELECT 1")
    wire.ask("BEGIN; SELECT 1")
    row = console.row("SHOW CLIENTS", database=DATABASE)
    server = console.row("SHOW SERVERS")
    assert row["link"] == server["ptr"] and server["link"] == row["ptr"] and server["client_id"] == row["id"]
    assert row["queries"] == "2" and row["transactions"] == "1"
    assert int(server["local_port"]) > 0 and int(server["remote_pid"]) == wire.server_pid()


@pytest.mark.pgring_only
def test_averages(shop):
    one, console = shop(stats_period=300)
    wire = one.connect()

    def are_right():
        """A period in which nothing was in the way of the client."""
        deadline = time.monotonic() + 0.7
        while time.monotonic() < deadline:
            wire.ask("SELECT pg_sleep(0.002)")
        row = console.row("SHOW STATS", database=DATABASE)
        averages = console.row("SHOW STATS_AVERAGES", database=DATABASE)
        return (20 < int(row["avg_query_count"]) < 500 and 1900 < int(row["avg_query_time"]) < 60000 and
                20 < int(averages["query_count"]) < 500)

    wait_until(are_right, what="right averages")
    row = console.row("SHOW STATS", database=DATABASE)
    totals = {r["name"]: int(r["value"]) for r in console.ask("SHOW TOTALS")}
    assert totals["total_query_count"] == int(row["total_query_count"]) and totals["total_client_bytes"] == int(row["total_received"])


# ---- drivers ---------------------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
def test_binary_results(shop):
    """asyncpg and pgx ask for binary."""
    _, console = shop()
    console.wire.send(parse("SHOW LISTS", name="a") + parse("SHOW CORES", name="b") + SYNC)
    console.wire.read_ready()
    console.wire.send(bind(name="a", result_formats=(1,)) + describe_portal() + execute() + SYNC)
    messages = console.wire.read_ready()
    rows = [wireclient.data_row(body) for kind, body in messages if kind == b"D"]
    assert dict(rows)[b"databases"] == b"\0\0\0\1"
    assert [c[6] for kind, body in messages if kind == b"T" for c in wireclient.row_description(body)] == [1, 1]
    console.wire.send(bind(name="b", result_formats=(0, 1)) + execute() + SYNC)
    rows = [wireclient.data_row(body) for kind, body in console.wire.read_ready() if kind == b"D"]
    assert sorted(row[1] for row in rows)[-1] == b"\0\0\0\1", "the console's own client is on one of the cores"
    assert (rows[0][0], rows[0][2]) == (b"0", b"0"), "as many codes as there are; the others are text"


@pytest.mark.pgring_only
def test_parses_of_clients_and_of_servers(shop):
    """What a client sends is counted once; what a server parses because it lacks the statement is counted there, what fails is not."""
    one, console = shop(default_pool_size=2, workers=1)
    wire, holder = one.connect(), one.connect()

    def counts():
        row = console.row("SHOW STATS", database=DATABASE)
        return float(row["total_client_parse_count"]), float(row["total_server_parse_count"])

    before = counts()
    wire.send(parse("SELECT 1", name="s") + SYNC)
    wire.read_ready()
    assert counts() == (before[0] + 1, before[1] + 1)
    holder.ask("BEGIN; SELECT 1")  # has the server that has been used last
    wire.send(bind(name="s") + execute() + SYNC)
    wire.read_ready()
    assert counts() == (before[0] + 1, before[1] + 2)
    wire.send(parse("SELEC", name="t") + SYNC)
    wire.read_ready()
    assert counts() == (before[0] + 2, before[1] + 2)


def test_named_statements_and_portals(shop):
    _, console = shop()
    console.wire.send(parse("SHOW VERSION", name="v") + parse("SHOW STATE", name="s") + SYNC)
    console.wire.read_ready()
    for name, columns in (("v", 1), ("s", 2), ("v", 1)):
        console.wire.send(bind(name=name, portal="p") + describe_portal("p") + execute("p") + SYNC)
        console.table(console.wire.read_ready())
        assert len(console.columns) == columns
    for messages, sqlstate in ((bind(name="x"), "26000"), (execute("p"), "34000"), (parse("SHOW STATE", name="v"), "42P05"),
                               (parse("SHOW STATE; SHOW VERSION") + bind() + execute(), "42601"), (bind(name="v", values=("1",)), "08P01")):
        console.wire.send(messages + SYNC)
        errors = [wireclient.error_fields(body)["C"] for kind, body in console.wire.read_ready() if kind == b"E"]
        assert errors == [sqlstate]
    console.wire.send(wireclient.close_statement("v") + bind(name="v") + SYNC)
    assert [kind for kind, _ in console.wire.read_ready()] == [b"3", b"E", b"Z"]


@pytest.mark.pgring_only
def test_several_statements(shop):
    _, console = shop()
    console.wire.send(query("SHOW VERSION; SHOW STATE ;; SHOW LISTS;"))
    kinds = [kind for kind, _ in console.wire.read_ready()]
    assert kinds.count(b"T") == 3 and kinds.count(b"C") == 3 and kinds[-1] == b"Z" and kinds.count(b"Z") == 1
    console.wire.send(query("SHOW VERSION; NONSENSE; SHOW LISTS"))
    assert [kind for kind, _ in console.wire.read_ready()] == [b"T", b"D", b"C", b"E", b"Z"]
    console.wire.send(query(";".join(["SHOW VERSION"] * 3000)))
    assert [kind for kind, _ in console.wire.read_ready()].count(b"C") == 3000


@pytest.mark.pgring_only
def test_what_drivers_ask(shop):
    _, console = shop()
    for name in ("client_encoding", "standard_conforming_strings", "datestyle", "timezone", "default_transaction_isolation", "TimeZone"):
        rows = console.ask("SHOW " + name)
        assert len(rows) == 1 and list(rows[0]) == [name.lower()]
    for command in ("SET client_encoding = 'UTF8'", "SET extra_float_digits TO 3", "SET datestyle='ISO'", "SET application_name = 'a; b'"):
        assert console.says(command) == "SET"
    assert "pgring" in console.ask("SELECT version")[0]["version"], "SELECT is SHOW, as with PgBouncer"
    assert "bad arguments" in console.refused("SHOW \"VERSION")["M"]


@pytest.mark.pgring_only
def test_asyncpg_on_the_console(pooler):
    asyncpg = pytest.importorskip("asyncpg")
    import asyncio
    one = pooler(workers=2)

    async def use():
        connection = await asyncpg.connect(host=one.host, port=one.port, user="admin", password=one.admin["password"], database=one.admin["name"],
                                           ssl=False)
        for _ in range(2):
            assert (await connection.fetch("SHOW DATABASES"))[0]["name"] == DATABASE
            assert {r["list"]: r["items"] for r in await connection.fetch("SHOW LISTS")}["databases"] == 1
            stats = (await connection.fetch("SHOW STATS"))[0]
            assert stats["total_query_count"] == 0 and stats["database"] == DATABASE
            assert (await connection.fetch("SHOW POOLS"))[0]["paused"] is False
            cores = await connection.fetch("SHOW CORES")
            assert len(cores) == 2 and cores[0]["turn_time"] > 0 and cores[1]["clients"] + cores[0]["clients"] == 1
        await connection.close()

    asyncio.run(use())


@pytest.mark.pgring_only
def test_exporter(shop):
    """What pgbouncer_exporter 0.12 asks, in its order, and what it needs of the answers."""
    one, console = shop(workers=2)
    one.connect().ask("SELECT 1")
    assert console.ask("SHOW STATS")
    console.ask("SHOW LISTS")
    assert len(console.columns) == 2
    config = {r["key"]: r["value"] for r in console.ask("SHOW CONFIG")}
    assert len(console.columns) == 4 and int(config["max_client_conn"]) >= 0 and int(config["max_user_connections"]) >= 0
    assert console.ask("SHOW VERSION")[0]["version"]
    needs = {"DATABASES": ("pool_size", "reserve_pool_size", "max_connections", "current_connections", "paused", "disabled"),
             "STATS_TOTALS": ("query_count", "xact_count", "bytes_received", "bytes_sent", "query_time", "xact_time", "wait_time",
                              "server_assignment_count"),
             "POOLS": ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us",
                       "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_being_canceled")}
    for command, columns in needs.items():
        for row in console.ask("SHOW " + command):
            assert all(float(row[column]) >= 0 for column in columns)
