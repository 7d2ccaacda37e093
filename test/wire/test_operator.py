"""What an operator brings along from PgBouncer or PgDog: monitoring agents, scripts and habits, pointed at pgring."""
import re
import subprocess

import pytest

import harness
import wireclient
from console import Console
from harness import DATABASE, PASSWORD, USER, database_row, user_row, wait_until
from wireclient import SYNC, bind, describe_portal, execute, parse, query

pytestmark = pytest.mark.pgring_only

OTHER = "other"


@pytest.fixture
def shop(pooler, postgres):
    """A pooler with two databases, and its console."""

    def start(**options):
        one = pooler(databases=[database_row(postgres), database_row(postgres, OTHER, database_name=DATABASE)],
                     users=[user_row(database=None, all_databases=True)], **options)
        return one, Console(one.console())

    return start


# ---- agents ----------------------------------------------------------------------------------------------------------


def test_version_as_agents_read_it(shop):
    """netdata's collector wants the word PgBouncer and a first version above 1.8.0; a person wants to know what it really is."""
    _, console = shop()
    text = console.ask("SHOW VERSION;")[0]["version"]
    assert "PgBouncer" in text
    assert tuple(map(int, re.findall(r"\d+\.\d+\.\d+", text)[0].split("."))) > (1, 8, 0)
    assert re.search(r"pgring \d+\.\d+\.\d+", text)


def test_comments_are_blanks(shop):
    """A ping of Go's pgx is a comment; editors put comments before what they send, and some agents behind it."""
    _, console = shop()
    for empty in ("-- ping", "/* ping */", "-- ping\n;", "/* a /* b */ c */ ;", " -- x\n -- y"):
        console.wire.send(query(empty))
        assert [kind for kind, _ in console.wire.read_ready()] == [b"I", b"Z"], empty
    for command in ("/* agent */ SHOW VERSION", "SHOW /* x */ VERSION", "-- agent\nSHOW VERSION", "SHOW VERSION -- agent",
                    "SHOW VERSION; -- SHOW nonsense", "SHOW VERSION /* ; */ ;", "SHOW/**/VERSION"):
        assert len(console.ask(command)) == 1, command
    console.wire.send(parse("-- ping") + bind() + describe_portal() + execute() + SYNC)
    assert [kind for kind, _ in console.wire.read_ready()] == [b"1", b"2", b"n", b"I", b"Z"]


def test_no_comments_in_names(shop):
    _, console = shop()
    assert console.refused('PAUSE "a--b"')["M"] == "no such database: a--b"
    assert console.refused("PAUSE a-b")["M"] == "no such database: a-b"
    assert console.refused("PAUSE 'a/*b*/'")["M"] == "no such database: a/*b*/"
    assert console.refused("PAUSE /* open")["M"] == "bad arguments"


def test_who_is_not_the_administrator(shop):
    """The password is right and the database is there: the error says whose it is."""
    one, _ = shop(admin={"name": "pgbouncer", "user": "boss"})
    with pytest.raises(wireclient.ServerError) as caught:
        one.connect(USER, PASSWORD, "pgbouncer")
    assert caught.value.sqlstate == "42501"
    assert caught.value.fields["M"] == 'user "%s" may not use the console "pgbouncer"' % USER
    assert "admin.stats_user" in caught.value.fields["H"]
    with pytest.raises(wireclient.ServerError) as caught:
        one.connect(USER, "wrong", "pgbouncer")
    assert caught.value.sqlstate == "28P01"


# ---- RESUME ----------------------------------------------------------------------------------------------------------


def paused(console):
    return {row["name"] for row in console.ask("SHOW DATABASES") if row["paused"] == "1"}


def test_resume_after_kill(shop):
    """SHOW HELP says of KILL that new clients wait for RESUME."""
    one, console = shop()
    assert one.connect().one("SELECT 1") == "1"
    assert console.says("KILL") == "KILL"
    assert paused(console) == {DATABASE, OTHER}
    assert console.says("RESUME") == "RESUME"
    assert paused(console) == set()
    assert one.connect().one("SELECT 1") == "1"
    assert console.refused("RESUME")["M"] == "pooler is not paused/suspended"


def test_resume_of_everything(shop):
    """PgDog's RESUME ends every pause; beside a PAUSE of everything it is PgBouncer's, and leaves a database paused that was paused alone."""
    one, console = shop()
    console.says("PAUSE " + OTHER)
    console.says("PAUSE")
    assert console.says("RESUME") == "RESUME"
    assert paused(console) == {OTHER}
    assert one.connect().one("SELECT 1") == "1"
    assert console.says("RESUME") == "RESUME"
    assert paused(console) == set()
    assert one.connect(database=OTHER).one("SELECT 1") == "1"


# ---- the log ---------------------------------------------------------------------------------------------------------


def logged(one, text, timeout=5):
    """Waits for a line with that text and returns it: the log is written behind what it tells."""
    def found():
        return next((line for line in one.log().splitlines() if text in line), None)

    return wait_until(found, timeout, "%r in the log" % text)


def refused(one, *login, **options):
    with pytest.raises(wireclient.ServerError) as caught:
        one.connect(*login, **options)
    return caught.value.fields["M"]


def test_log_says_why_nobody_came_in(pooler, postgres):
    """Whoever looks for the reason of a failed login finds it, with user and database, and no password."""
    gone = database_row(postgres, "gone", host="127.0.0.1", port=1, database_name=DATABASE)
    one = pooler(databases=[database_row(postgres), database_row(postgres, OTHER, database_name=DATABASE), gone],
                 users=[user_row(database=None, all_databases=True)], max_client_conn=1)
    console = Console(one.console())
    assert 'client ' in logged(one, '"admin" connected to the console [127.0.0.1]')
    text = refused(one, USER, "not the password")
    assert logged(one, text).endswith('INFO client [127.0.0.1]: %s, database "%s"' % (text, DATABASE))
    console.says("DISABLE " + OTHER)
    for database, parameters in (("nowhere", ()), ("gone", ()), (OTHER, ()), (DATABASE, (("work_mem", "much"),)), (DATABASE, (("replication", "1"),))):
        text = refused(one, USER, PASSWORD, database, parameters=parameters)
        assert logged(one, ': %s, user "%s", database "%s"' % (text, USER, database))
    inside = one.connect()
    text = refused(one)
    assert "max_client_conn" in text and logged(one, ': %s, user "%s", database "%s"' % (text, USER, DATABASE))
    assert inside.one("SELECT 1") == "1"
    assert PASSWORD not in one.log() and "not the password" not in one.log()


def test_log_of_logins_can_be_switched_off(pooler):
    one = pooler(log_connections=False)
    text = refused(one, USER, "not the password")
    assert refused(one, USER, PASSWORD, "nowhere")
    Console(one.console()).ask("SHOW VERSION")
    logged(one, text)
    assert "nowhere" not in one.log() and "connected to" not in one.log()


def test_log_of_checkout_timeouts(pooler):
    """One line for many: the pool, and how many wait."""
    one = pooler(default_pool_size=1, checkout_timeout=60000, workers=1)
    busy = one.connect()
    others = [one.connect() for _ in range(3)]
    busy.ask("BEGIN")
    busy.ask("SELECT 1")
    one.general["checkout_timeout"] = 200  # from now on: the connection before may take what it takes
    one.write()
    assert Console(one.console()).says("RELOAD") == "RELOAD"
    for other in others:
        other.send(query("SELECT 1"))
    for other in others:
        other.read_ready()
    assert "WARN" in logged(one, "pool %s/%s: checkout timeout (1 since the last such line, " % (DATABASE, USER))
    assert one.log().count("checkout timeout (") == 1


# ---- who may only look -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", ("scram", "md5", "plain", "trust"))
def test_stats_user(shop, auth_type):
    """PgBouncer's stats_users: an agent's password is not one that can shut everything down."""
    one, console = shop(auth_type=auth_type, admin={"stats_user": "watcher", "stats_password": "w"})
    name = one.admin["name"]
    wire = one.connect("watcher", "w", name)
    assert wire.parameters["is_superuser"] == "off" and console.wire.parameters["is_superuser"] == "on"
    watcher = Console(wire)
    for what in ("STATS", "POOLS", "DATABASES", "CLIENTS", "SERVERS", "LISTS", "CONFIG", "VERSION", "USERS", "MEM"):
        assert watcher.ask("SHOW " + what) or what == "SERVERS", what
    assert watcher.says("SET client_encoding = 'UTF8'") == "SET"
    for command in ("SHUTDOWN", "RELOAD", "PAUSE", "KILL " + DATABASE, "KILL_CLIENT 1", "DISABLE " + DATABASE, "RECONNECT", "SET work = 1", "RESUME"):
        assert watcher.refused(command)["M"] == "admin access needed", command
        assert watcher.refused("SHOW VERSION; " + command)["C"] == "42501"
        wire.send(parse(command) + bind() + describe_portal() + execute() + SYNC)
        assert b"E" in [kind for kind, _ in wire.read_ready()], command
    assert paused(console) == set() and one.connect().one("SELECT 1") == "1"
    assert watcher.refused("BEGIN")["M"] == "invalid command 'BEGIN', use SHOW HELP;"
    assert "w" not in {row["value"] for row in console.ask("SHOW CONFIG") if row["key"].startswith("admin_stats_password")}
    assert refused(one, "watcher", one.admin["password"], name) == 'password authentication failed for user "watcher"'
    refused(one, one.admin["user"], "w", name)
    refused(one, "watcher", "w", DATABASE)


def test_stats_user_needs_a_password(tmp_path):
    path = tmp_path / "pgring.toml"
    path.write_text('[admin]\nstats_user = "watcher"\n')
    check = subprocess.run([harness.BINARY, "configcheck", "-c", str(path), "-u", str(tmp_path / "users.toml")],
                           capture_output=True, text=True, check=False)
    assert check.returncode == 1 and "admin.stats_user needs admin.stats_password" in check.stderr + check.stdout


# ---- PgDog's MAINTENANCE, PgBouncer's statistics ----------------------------------------------------------------------


def test_maintenance(shop):
    """A pause that is over at once: what runs goes on, what comes waits. Twice is not worse than once."""
    one, console = shop(default_pool_size=1)
    busy, other, beside = one.connect(), one.connect(), one.connect(database=OTHER)
    busy.ask("BEGIN")
    busy.ask("SELECT 1")
    for _ in range(2):
        assert console.says("MAINTENANCE ON") == "MAINTENANCE"
    assert busy.one("SELECT 2") == "2"
    busy.ask("COMMIT")
    other.send(query("SELECT 3"))
    assert other.silent(0.3)
    for _ in range(2):
        assert console.says("maintenance off;") == "MAINTENANCE"
    other.read_ready()
    console.says("MAINTENANCE ON " + OTHER)
    assert paused(console) == {OTHER} and busy.one("SELECT 4") == "4"
    beside.send(query("SELECT 5"))
    assert beside.silent(0.3)
    console.says('MAINTENANCE OFF "%s"' % OTHER)
    beside.read_ready()
    for wrong in ("MAINTENANCE", "MAINTENANCE " + OTHER, "MAINTENANCE ON a b"):
        assert console.refused(wrong)["M"] == "invalid command '%s', use SHOW HELP;" % wrong
    assert console.refused("MAINTENANCE ON nowhere")["M"] == "no such database: nowhere"


def test_log_of_statistics(pooler):
    """PgBouncer's line, in its words."""
    one = pooler(stats_period=300)
    line = re.compile(r"INFO stats: \d+ xacts/s, (\d+) queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, \d+ client logins/s, "
                      r"in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us$", re.MULTILINE)
    wire = one.connect()

    def busy():
        for _ in range(20):
            wire.ask("SELECT 1")
        return any(int(queries) > 0 for queries in line.findall(one.log()))

    wait_until(busy, 20, "a line with queries")
    Console(one.console()).ask("SHOW STATS")
    wait_until(lambda: one.log().count(" stats: ") == len(line.findall(one.log())), 5, "whole lines")


def test_log_of_statistics_can_be_switched_off(pooler):
    one = pooler(stats_period=100, log_stats=False)
    wire, console = one.connect(), Console(one.console())
    wire.ask("SELECT 1")
    wait_until(lambda: console.row("SHOW STATS", database=DATABASE)["avg_sent"] != "0" or wire.ask("SELECT 1") is None, 20, "a period", 0.05)
    assert " stats: " not in one.log()
