"""What the console changes: PgBouncer's commands over all cores."""
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
from wireclient import query

pytestmark = pytest.mark.pgring_only
OTHER = "other"
WORKERS = (1, 4)


@pytest.fixture
def shop(pooler, postgres):
    """A pooler with two databases, and its console."""

    def start(**general):
        general.setdefault("default_pool_size", 4)
        one = pooler(databases=[database_row(postgres), database_row(postgres, name=OTHER)],
                     users=[user_row(USER, None, all_databases=True)], **general)
        return one, Console(one.console())

    return start


def servers_of(console, database=DATABASE):
    return [r for r in console.ask("SHOW SERVERS") if r["database"] == database]


def await_paused(console, database=None):
    """Until a pause that has been ordered elsewhere has begun: who asks from now on waits."""
    if database:
        wait_until(lambda: console.row("SHOW DATABASES", name=database)["paused"] == "1", what="the pause of a database")
    else:
        wait_until(lambda: console.row("SHOW STATE", key="paused")["value"] == "yes", what="the pause")


def reload(one, console, **general):
    one.general.update(general)
    one.write()
    assert console.says("RELOAD") == "RELOAD"


# ---- PAUSE, RESUME ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
def test_pause_and_resume(shop, workers):
    """PAUSE returns when the servers are closed; clients wait, without checkout_timeout; the other database notices nothing."""
    one, console = shop(workers=workers)
    wires, others = crowd.all_connected(one, 8), crowd.all_connected(one, 4, database=OTHER)
    crowd.ask_all(wires + others, "SELECT 1")
    assert servers_of(console)
    assert console.says("PAUSE " + DATABASE) == "PAUSE"
    assert servers_of(console) == []
    assert console.row("SHOW DATABASES", name=DATABASE)["paused"] == "1"
    assert console.row("SHOW DATABASES", name=OTHER)["paused"] == "0"
    assert console.row("SHOW POOLS", database=DATABASE)["paused"] == "t"
    for wire in wires:
        wire.send(query("SELECT 2"))
    crowd.ask_all(others, "SELECT 3")
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE)["cl_waiting"] == "8", what="eight waiting clients")
    reload(one, console, checkout_timeout=300)
    time.sleep(0.8)
    assert all(wire.silent(0) for wire in wires), "checkout_timeout passed, and nobody got an error"
    assert console.row("SHOW POOLS", database=DATABASE)["cl_waiting"] == "8"
    reload(one, console, checkout_timeout=60000)
    assert console.says("RESUME " + DATABASE) == "RESUME"
    got = crowd.answers(wires)
    assert len(got) == 8 and all(messages[-1] == (b"Z", b"I") and b"E" not in dict(messages) for _, messages, _ in got)
    assert console.row("SHOW DATABASES", name=DATABASE)["paused"] == "0"


@pytest.mark.parametrize("workers", WORKERS)
def test_pause_waits_for_transactions(shop, workers):
    one, console = shop(workers=workers)
    busy, idle = one.connect(), one.connect()
    busy.ask("BEGIN; SELECT 1")
    idle.ask("SELECT 1")
    console.wire.send(query("PAUSE"))
    time.sleep(0.5)
    assert console.wire.silent(0), "a transaction is open"
    second = Console(one.console())
    await_paused(second)
    wait_until(lambda: len(servers_of(second)) == 1, what="the end of the idle servers")
    assert second.refused("PAUSE")["M"] == "already suspended/paused"
    assert second.refused("KILL " + OTHER)["M"] == "already suspended/paused"
    assert busy.one("SELECT 'goes on'") == "goes on"
    idle.send(query("SELECT 2"))
    busy.ask("COMMIT")
    assert console.table(console.wire.read_ready()) == [] and console.tag == "PAUSE"
    assert idle.silent(0.2)
    assert second.says("RESUME") == "RESUME"
    assert wireclient.Wire.rows(idle.read_ready()) == [["2"]]
    assert second.row("SHOW STATE", key="active")["value"] == "yes"


def test_cancel_of_a_pause_resumes(shop):
    one, console = shop(workers=2)
    busy, waiting = one.connect(), one.connect()
    busy.ask("BEGIN; SELECT 1")
    console.wire.send(query("PAUSE " + DATABASE + "; SHOW VERSION"))
    await_paused(Console(one.console()), DATABASE)
    waiting.send(query("SELECT 1"))
    assert waiting.silent(0.2)
    console.wire.cancel()
    messages = console.wire.read_ready()
    assert [kind for kind, _ in messages] == [b"E", b"Z"] and wireclient.error_fields(messages[0][1])["C"] == "57014"
    assert wireclient.Wire.rows(waiting.read_ready()) == [["1"]]
    assert console.row("SHOW DATABASES", name=DATABASE)["paused"] == "0"
    busy.ask("COMMIT")


def test_a_pause_that_waits_ends_with_resume(shop):
    one, console = shop()
    busy = one.connect()
    busy.ask("BEGIN; SELECT 1")
    console.wire.send(query("PAUSE"))
    second = Console(one.console())
    await_paused(second)
    assert second.says("RESUME") == "RESUME"
    with pytest.raises(wireclient.ServerError):
        console.table(console.wire.read_ready())
    assert busy.one("SELECT 1") == "1"


def test_a_paused_console_may_leave(shop):
    """The pause stays when who ordered it is gone."""
    one, console = shop(workers=2)
    busy = one.connect()
    busy.ask("BEGIN; SELECT 1")
    console.wire.send(query("PAUSE"))
    second = Console(one.console())
    await_paused(second)
    console.wire.drop()
    busy.ask("COMMIT")
    busy.send(query("SELECT 1"))
    assert busy.silent(0.3)
    assert second.says("RESUME") == "RESUME"
    busy.read_ready()


def test_wrong_arguments(shop):
    one, console = shop()
    texts = {
        "PAUSE nowhere": "no such database: nowhere",
        "PAUSE admin": "cannot pause admin db: admin",
        "RESUME": "pooler is not paused/suspended",
        "RESUME " + DATABASE: "database %s is not paused" % DATABASE,
        "RESUME nowhere": "no such database: nowhere",
        "RECONNECT nowhere": "no such database: nowhere",
        "RECONNECT admin": "cannot reconnect admin db: admin",
        "KILL nowhere": "no such database: nowhere",
        "KILL admin": "cannot kill admin db: admin",
        "KILL_CLIENT 99999999": "client not found",
        "KILL_CLIENT x": "invalid client pointer supplied",
        "DISABLE": "a database is required",
        "ENABLE nowhere": "no such database: nowhere",
        "WAIT_CLOSE nowhere": "no such database: nowhere",
        "PAUSE a b": "invalid command 'PAUSE a b', use SHOW HELP;",
        "shutdown sometime": "invalid command 'shutdown sometime', use SHOW HELP;",
        "NONSENSE 'x;y' ;": "invalid command 'NONSENSE 'x;y'', use SHOW HELP;",
    }
    for command, text in texts.items():
        fields = console.refused(command)
        assert (fields["M"], fields["C"]) == (text, "08P01"), command
    assert console.refused("SUSPEND")["C"] == "0A000"
    assert console.row("SHOW DATABASES", name=DATABASE)["paused"] == "0"
    assert one.connect().one("SELECT 1") == "1", "nothing has changed"


def test_pause_by_signal(shop):
    """SIGUSR1 and SIGUSR2 are PAUSE and RESUME; twice is not worse than once."""
    one, console = shop(workers=2)
    wires = crowd.all_connected(one, 4)
    crowd.ask_all(wires, "SELECT 1")
    one.process.signal(signal.SIGUSR2)
    wait_until(lambda: "nothing to resume" in one.log(), 5, "the line in the log")
    for _ in range(2):
        one.process.signal(signal.SIGUSR1)
        wait_until(lambda: console.row("SHOW STATE", key="paused")["value"] == "yes" and servers_of(console) == [], 5, "the pause", 0.05)
    assert console.refused("PAUSE")["M"] == "already suspended/paused"
    for wire in wires:
        wire.send(query("SELECT 2"))
    assert all(wire.silent(0.1) for wire in wires)
    one.process.signal(signal.SIGUSR2)
    assert len(crowd.answers(wires)) == 4
    assert console.row("SHOW STATE", key="active")["value"] == "yes"


@pytest.mark.parametrize("workers", WORKERS)
def test_logins_during_a_pause(shop, workers):
    """Who comes during a pause waits for its end, however long, also with settings that no server has tried."""
    one, console = shop(workers=workers, auth_type="trust")
    one.connect().ask("SELECT 1")
    console.says("PAUSE")
    reload(one, console, client_login_timeout=300, checkout_timeout=300)
    wires = [one.wire() for _ in range(4)]
    for i, wire in enumerate(wires):
        wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE), ("application_name", "new %d" % i)]))
    time.sleep(1)
    reload(one, console, client_login_timeout=60000, checkout_timeout=60000)
    console.says("RESUME")
    got = crowd.answers(wires)
    assert len(got) == 4 and all(messages[-1] == (b"Z", b"I") for _, messages, _ in got), got


# ---- RECONNECT, WAIT_CLOSE -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
def test_reconnect(shop, workers):
    one, console = shop(workers=workers)
    wires = crowd.all_connected(one, 8)
    others = crowd.all_connected(one, 2, database=OTHER)
    crowd.ask_all(wires + others, "SELECT pg_sleep(0.05)")
    wait_until(lambda: all(r["remote_pid"] != "0" for r in servers_of(console) + servers_of(console, OTHER)), what="the end of all connecting")
    busy = wires[0]
    busy.ask("BEGIN")
    kept = busy.server_pid()
    before = {r["remote_pid"] for r in servers_of(console)}
    others_before = {r["remote_pid"] for r in servers_of(console, OTHER)}
    assert console.says("RECONNECT " + DATABASE) == "RECONNECT"
    crowd.ask_all(wires[1:], "SELECT pg_sleep(0.05)")
    wait_until(lambda: {r["remote_pid"] for r in servers_of(console)} & before == {str(kept)}, what="the end of the idle ones")
    assert [r["close_needed"] for r in servers_of(console) if r["remote_pid"] == str(kept)] == ["1"]
    console.wire.send(query("WAIT_CLOSE " + DATABASE))
    time.sleep(0.3)
    assert console.wire.silent(0), "one of the old ones is in use"
    assert busy.server_pid() == kept
    busy.ask("COMMIT")
    console.table(console.wire.read_ready())
    assert console.tag == "WAIT_CLOSE"
    assert not {r["remote_pid"] for r in servers_of(console)} & before
    assert {r["remote_pid"] for r in servers_of(console, OTHER)} == others_before
    assert console.says("WAIT_CLOSE") == "WAIT_CLOSE"


# ---- KILL, KILL_CLIENT -----------------------------------------------------------------------------------------------


def ended_with(wire):
    messages = wire.read_to_end()
    return wireclient.error_fields(messages[-1][1])


@pytest.mark.parametrize("workers", WORKERS)
def test_kill(shop, postgres, workers):
    one, console = shop(workers=workers)
    wires, others = crowd.all_connected(one, 8), crowd.all_connected(one, 4, database=OTHER)
    crowd.ask_all(wires + others, "SELECT 1")
    wires[0].ask("BEGIN; SELECT 1")
    wires[1].send(query("SELECT pg_sleep(60)"))
    for other in others[:2]:
        other.ask("BEGIN; SELECT 1")
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE)["sv_active"] == "2", 3, "two busy servers", 0.05)
    assert console.says("KILL " + DATABASE) == "KILL"
    for wire in wires:
        assert ended_with(wire)["C"] == "57P01"
    wait_until(lambda: servers_of(console) == [], 3, "no servers", 0.05)
    crowd.ask_all(others, "SELECT 2")
    assert console.row("SHOW DATABASES", name=DATABASE)["paused"] == "1", "new clients wait"
    assert console.says("RESUME " + DATABASE) == "RESUME"
    wait_until(lambda: one.connect().one("SELECT 1") == "1", 3, "service after RESUME")
    for other in others[:2]:
        other.ask("COMMIT")


def test_kill_everything(shop):
    one, console = shop(workers=2)
    wires, others = crowd.all_connected(one, 2), crowd.all_connected(one, 2, database=OTHER)
    assert console.says("KILL") == "KILL"
    for wire in wires + others:
        assert ended_with(wire)["M"] == "admin forced disconnect"
    assert {r["paused"] for r in console.ask("SHOW DATABASES")} == {"1"}
    console.says("RESUME " + OTHER)
    assert one.connect(database=OTHER).one("SELECT 1") == "1"


@pytest.mark.parametrize("workers", WORKERS)
def test_kill_client(shop, workers):
    one, console = shop(workers=workers)
    wires = crowd.all_connected(one, 6)
    wires[2].ask("BEGIN; SELECT 1")
    ids = {int(r["port"]): r["id"] for r in console.ask("SHOW CLIENTS") if r["database"] == DATABASE}
    victim = ids[wires[2].sock.getsockname()[1]]
    assert console.says("KILL_CLIENT " + victim) == "KILL_CLIENT"
    assert ended_with(wires[2])["M"] == "admin forced disconnect"
    crowd.ask_all(wires[:2] + wires[3:], "SELECT 1")
    assert console.refused("KILL_CLIENT " + victim)["M"] == "client not found"


# ---- DISABLE, ENABLE -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
def test_disable_and_enable(shop, workers):
    one, console = shop(workers=workers)
    inside = one.connect()
    assert console.says('disable "%s"' % DATABASE) == "DISABLE"
    assert console.row("SHOW DATABASES", name=DATABASE)["disabled"] == "1"
    for _ in range(workers):
        with pytest.raises(wireclient.ServerError) as caught:
            one.connect()
        assert caught.value.fields["M"] == 'database "%s" is disabled' % DATABASE and caught.value.fields["S"] == "FATAL"
    assert inside.one("SELECT 1") == "1", "who is inside stays"
    assert one.connect(database=OTHER).one("SELECT 1") == "1"
    assert console.says("ENABLE " + DATABASE) == "ENABLE"
    assert one.connect().one("SELECT 1") == "1"


# ---- RELOAD ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", WORKERS)
def test_reload(shop, postgres, workers):
    """RELOAD returns when every core uses the new files; what was paused, disabled and counted stays so; a wrong file changes nothing."""
    one, console = shop(workers=workers)
    wires = crowd.all_connected(one, 4)
    console.says("PAUSE " + OTHER)
    console.says("DISABLE " + OTHER)
    one.databases.insert(0, database_row(postgres, name="new"))
    one.general["max_db_client_connections"] = 5
    one.write()
    assert console.says("RELOAD") == "RELOAD"
    for _ in range(workers):
        assert one.connect(database="new").one("SELECT 1") == "1"
    row = console.row("SHOW DATABASES", name=OTHER)
    assert (row["paused"], row["disabled"]) == ("1", "1")
    assert console.row("SHOW DATABASES", name=DATABASE)["current_client_connections"] == "4"
    crowd.ask_all(wires + [one.connect()], "SELECT 1")
    with pytest.raises(wireclient.ServerError) as caught:
        one.connect()
    assert caught.value.fields["C"] == "53300"
    one.directory.write("pgring.toml", "[general]\nport = \"none\"\n")
    fields = console.refused("RELOAD")
    assert fields["C"] == "F0000" and "pgring.toml:2:8" in fields["M"]
    assert len(console.ask("SHOW DATABASES")) == 3
    assert console.row("SHOW CONFIG", key="default_pool_size")["changeable"] == "yes"
    assert console.row("SHOW CONFIG", key="port")["changeable"] == "no"


def test_figures_during_reloads(shop, postgres):
    """Pools come and go while all is shown: no figure belongs to another pool."""
    one, console = shop(workers=4)
    wires = crowd.all_connected(one, 4)
    for turn in range(12):
        one.databases[1:-1] = [database_row(postgres, name="extra%d" % i) for i in range(turn % 4)]
        one.write()
        console.wire.send(query("RELOAD") + query("SHOW POOLS") + query("SHOW STATS"))
        Console(one.console()).ask("SHOW POOLS")
        console.wire.read_ready(3)
        crowd.ask_all(wires, "SELECT 1")
        rows = {r["database"]: r for r in console.ask("SHOW POOLS")}
        assert set(rows) == {DATABASE, OTHER} | {"extra%d" % i for i in range(turn % 4)}
        assert [rows[name]["cl_active"] for name in rows if name != DATABASE].count("0") == len(rows) - 1
        assert rows[DATABASE]["cl_active"] == "4"
        assert console.row("SHOW STATS", database=DATABASE)["total_xact_count"] == str(4 * (turn + 1))


# ---- SHUTDOWN --------------------------------------------------------------------------------------------------------


def test_shutdown_waits_for_clients(shop):
    one, console = shop(workers=2, shutdown_timeout=500)
    wires = crowd.all_connected(one, 4)
    assert console.says("SHUTDOWN WAIT_FOR_CLIENTS") == "SHUTDOWN"
    time.sleep(0.8)
    crowd.ask_all(wires, "SELECT 1")
    with pytest.raises((wireclient.WireError, OSError)):
        one.connect()
    assert len([r for r in Console(one.console()).ask("SHOW CLIENTS") if r["database"] == DATABASE]) == 4, "the console is open"
    assert console.refused("RESUME")["M"] == "pooler is shutting down"
    for wire in wires:
        wire.close()
    assert one.process.wait(5) == 0


def test_shutdown_waits_for_servers(shop):
    one, console = shop(default_pool_size=1, workers=1, shutdown_timeout=300)
    busy, idle, waiting = one.connect(), one.connect(), one.connect()
    busy.ask("BEGIN; SELECT 1")
    waiting.send(query("SELECT 1"))
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE)["cl_waiting"] == "1", 3, "a waiting client", 0.05)
    assert console.says("SHUTDOWN WAIT_FOR_SERVERS") == "SHUTDOWN"
    assert ended_with(idle)["C"] == "57P01"
    assert ended_with(waiting)["M"] == "server shutting down"
    time.sleep(0.6)
    assert busy.one("SELECT 'without a deadline'") == "without a deadline"
    busy.ask("COMMIT")
    assert one.process.wait(5) == 0


def test_shutdown_ends_busy_sessions(shop):
    """Who has a server for itself is let go after its answer, as those that are idle are at once."""
    one, console = shop(pooler_mode="session", shutdown_timeout=60000, workers=2)
    busy = crowd.all_connected(one, 3)
    crowd.ask_all(busy, "SELECT 1")
    for wire in busy:
        wire.send(query("SELECT pg_sleep(1)"))
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE)["sv_active"] == "3", 3, "three busy servers", 0.05)
    console.says("SHUTDOWN WAIT_FOR_SERVERS")
    for wire in busy:
        messages = wire.read_to_end()
        assert b"".join(kind for kind, _ in messages) == b"TDCZE", messages
        assert wireclient.error_fields(messages[-1][1])["C"] == "57P01"
    assert one.process.wait(5) == 0


def test_shutdown_again_is_at_once(shop):
    one, console = shop(shutdown_timeout=60000)
    busy = one.connect()
    busy.ask("BEGIN; SELECT 1")
    console.says("SHUTDOWN WAIT_FOR_SERVERS")
    time.sleep(0.2)
    assert one.process.alive()
    console.wire.send(query("SHUTDOWN WAIT_FOR_SERVERS"))
    assert one.process.wait(5) == 0
    assert ended_with(busy)["C"] == "57P01"


def test_shutdown_during_a_pause(shop):
    """Who waits for the end of the pause is told to go, since nobody could end it; a SHUTDOWN that waits for clients leaves RESUME to do it."""
    one, console = shop(workers=2, shutdown_timeout=60000)
    wires = crowd.all_connected(one, 4)
    console.says("PAUSE " + DATABASE)
    for wire in wires:
        wire.send(query("SELECT 1"))
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE)["cl_waiting"] == "4", 5, "four waiting clients", 0.05)
    assert console.says("SHUTDOWN WAIT_FOR_CLIENTS") == "SHUTDOWN"
    assert all(wire.silent(0.1) for wire in wires)
    assert console.says("RESUME " + DATABASE) == "RESUME"
    assert len(crowd.answers(wires)) == 4
    console.says("PAUSE " + DATABASE)
    for wire in wires:
        wire.send(query("SELECT 1"))
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE)["cl_waiting"] == "4", 5, "four waiting clients", 0.05)
    one.process.signal(signal.SIGTERM)
    assert one.process.wait(8) == 0
    assert all(ended_with(wire)["C"] == "57P01" for wire in wires)


@pytest.mark.parametrize("order, signals", ((None, ("SIGQUIT",)), (None, ("SIGTERM", "SIGTERM")), ("SHUTDOWN WAIT_FOR_CLIENTS", ("SIGTERM", "SIGINT"))))
def test_signals_that_end_it(shop, order, signals):
    """SIGTERM lets transactions end, also after a more patient SHUTDOWN; the second one, or SIGQUIT, is at once. None leaves a trace."""
    one, console = shop(shutdown_timeout=60000, unix_socket_dir="/tmp")
    busy = one.connect()
    busy.ask("BEGIN; SELECT 1")
    if order:
        console.says(order)
    for name in signals[:-1]:
        one.process.signal(getattr(signal, name))
        wait_until(lambda: "SIG" + name[3:] in one.log(), 5, "the line in the log")
        assert busy.one("SELECT 'still here'") == "still here"
    one.process.signal(getattr(signal, signals[-1]))
    assert one.process.wait(8) == 0
    assert ended_with(busy)["C"] == "57P01"
    assert not os.path.exists("/tmp/.s.PGSQL.%d" % one.port)


# ---- under load ------------------------------------------------------------------------------------------------------


class Load:
    """pgbench -S in the background."""

    def __init__(self, pooler, seconds, *options):
        environment = dict(os.environ, PGPASSWORD=PASSWORD, PGSSLMODE="disable")
        self.popen = subprocess.Popen([harness.postgres_binary("pgbench"), "-n", "-f", self.script(pooler), "-c", "16", "-T", str(seconds), *options,
                                       "-h", pooler.host, "-p", str(pooler.port), "-U", USER, DATABASE],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)

    @staticmethod
    def script(pooler):
        return pooler.directory.write("load.sql", "BEGIN;\nSELECT 1;\nCOMMIT;\n")

    def end(self):
        out, _ = self.popen.communicate(timeout=120)
        return self.popen.returncode, out


@pytest.mark.parametrize("workers", WORKERS)
def test_commands_under_load(shop, workers):
    """pgbench sees no error of PAUSE and RESUME, RECONNECT, KILL of another database, DISABLE and ENABLE."""
    one, console = shop(workers=workers)
    load = Load(one, 4)
    rounds = 0
    while load.popen.poll() is None:
        console.says("PAUSE " + DATABASE)
        time.sleep(0.05)
        console.says("RESUME " + DATABASE)
        console.says("RECONNECT")
        console.says("KILL " + OTHER)
        console.says("RESUME " + OTHER)
        console.says("PAUSE")
        console.says("RESUME")
        console.says("DISABLE " + OTHER)
        console.says("ENABLE " + OTHER)
        time.sleep(0.05)
        rounds += 1
    status, out = load.end()
    assert status == 0 and "aborted" not in out and "ERROR" not in out and "FATAL" not in out, out
    assert rounds >= 1
    wait_until(lambda: console.row("SHOW POOLS", database=DATABASE)["cl_active"] == "0", what="the end of the clients")
    assert console.row("SHOW POOLS", database=DATABASE)["cl_waiting"] == "0"


def test_wait_close_with_moving_servers(shop):
    """With few connections for many clients on many cores, servers move all the time: none of the old ones survives."""
    one, console = shop(workers=4, default_pool_size=3)
    load = Load(one, 3)
    time.sleep(0.5)
    for _ in range(5):
        before = {r["remote_pid"] for r in servers_of(console)} - {"0"}  # not yet connected
        console.says("RECONNECT " + DATABASE)
        console.says("WAIT_CLOSE " + DATABASE)
        assert not {r["remote_pid"] for r in servers_of(console)} & before
        console.says("PAUSE " + DATABASE)
        assert servers_of(console) == []
        console.says("RESUME " + DATABASE)
        time.sleep(0.1)
    status, out = load.end()
    assert status == 0, out
