"""What an operator brings along from PgBouncer or PgDog: monitoring agents, scripts and habits, pointed at pgring."""
import re

import pytest

import wireclient
from console import Console
from harness import DATABASE, PASSWORD, USER, database_row, user_row
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
    assert "admin.user" in caught.value.fields["H"]
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
