"""The limits that hold over all cores, each with PgBouncer's name and text. Whoever is over one gets an error, nobody else notices."""
import time

import pytest

import crowd
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
    assert len(console.ask("SHOW CLIENTS")) == 9, "the console is not counted"
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
    wire.send(query("SELECT pg_sleep(30)"))
    time.sleep(0.2)
    wire.cancel()
    errors = [wireclient.error_fields(body)["C"] for kind, body in wire.read_ready(timeout=5) if kind == b"E"]
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
        got = crowd.answers(wires, 10)
        assert len(got) == 60
        inside = [messages for _, messages, _ in got if messages[-1][0] == b"Z"]
        assert len(inside) == 10
        for wire in wires:
            wire.drop()
        wait_until(lambda: Console(one.console()).row("SHOW DATABASES", name=DATABASE)["current_client_connections"] == "0", 3, "an empty house",
                   0.02)
