"""Reload: a new configuration for every core at once, and what stays as it was."""
import os
import signal
import threading
import time

import pytest

import crowd
import harness
import wireclient
from harness import DATABASE, USER, database_row, user_row, wait_until

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
    kind, body = idle.read(2)  # without having asked
    assert (kind, wireclient.error_fields(body)["C"]) == (b"E", "57P01")
    assert busy.one("SELECT 2") == "2"
    busy.ask("COMMIT")
    kind, body = busy.read(2)
    assert (kind, wireclient.error_fields(body)["C"]) == (b"E", "57P01"), "its transaction is over"
    with pytest.raises(wireclient.ServerError, match="3D000"):
        one.connect(database="second")
    assert other.server_pid() == pid
    here = "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'" % USER
    wait_until(lambda: int(postgres.value(here)) <= 2, 5, "its servers to go")
    one.databases.append(database_row(postgres, "second"))
    reload(one)
    assert one.connect(database="second").one("SELECT 4") == "4"


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


def test_what_needs_a_restart_is_said(pooler, postgres):
    one = pooler()
    port = one.general.get("port", one.port)
    one.general["port"] = 1
    reload(one)
    assert "general.port has changed, which needs a restart" in one.log()
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
        thread.join(20)
    assert not errors
    assert one.connect(database="beside").one("SELECT 1") == "1"
