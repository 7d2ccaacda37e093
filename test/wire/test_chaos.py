"""Clients and servers that break the protocol, and beside them, on the same servers, clients that behave: these get every byte that
they are to get, whatever the others do, and nothing is left when it is over.

Each way is a mode of pooling, one of prepared statements and a number of cores. CHAOS_S says how long each one takes (2.5 s),
CHAOS_SEEDS where the seeds begin, CHAOS_WAYS which ways (all), CHAOS_SETTINGS which of WILD. What fails prints the last lives of the chaotic clients: a seed makes
one (chaos.py).
"""
import os
import threading
import time

import pytest

import chaos
import harness
from console import Console
from harness import DATABASE, database_row, wait_until
from wireclient import SYNC, bind, execute, parse

pytestmark = pytest.mark.pgring_only

# More settings for pgring, of which a way gets those of its number: all that is rare becomes frequent.
WILD = ({}, {"prepared_statements_limit": 3, "healthcheck_interval": 0}, {"server_lifetime": 300, "idle_timeout": 30, "min_pool_size": 1},
        {"prepared_statements_limit": 1, "server_lifetime": 100}, {"client_buffer_limit": 4194304})
LENGTH_S = float(os.environ.get("CHAOS_S", "2.5"))
FIRST = int(os.environ.get("CHAOS_SEEDS", "1"))
ALL = [(mode, prepared, workers) for mode in ("transaction", "session", "statement") for prepared in ("extended", "full") for workers in (1, 4)]
USUAL = [("transaction", "extended", 1), ("transaction", "full", 4), ("session", "extended", 4), ("statement", "full", 1)]
WAYS = ALL if os.environ.get("CHAOS_WAYS") == "all" else USUAL
SETTINGS = int(os.environ.get("CHAOS_SETTINGS", "0"))
CHAOTIC, VICTIMS, HONEST = 4, 2, 3
TORN = "torn"


@pytest.fixture(scope="module")
def ready(postgres):
    chaos.prepare(postgres)
    for number in range(HONEST):
        for kind in ("calm", TORN):
            postgres.sql("CREATE TABLE IF NOT EXISTS public.chaos_%s%d (a int); GRANT ALL ON public.chaos_%s%d TO PUBLIC" % (kind, number, kind, number))


class Crowd:
    """Threads that repeat something until it is enough, or one of them has found a fault."""

    def __init__(self, until):
        self.until, self.problems, self.threads, self.lives, self.next, self.lock = until, [], [], [], FIRST, threading.Lock()
        self.is_enough = lambda: True

    def goes_on(self):
        return time.monotonic() < self.until or not self.is_enough() and time.monotonic() < self.until + 60

    def seed(self):
        with self.lock:
            self.next += 1
            return self.next - 1

    def started(self, life):
        self.lives.append((time.monotonic(), life))

    def repeat(self, act):
        def run():
            try:
                while self.goes_on() and not self.problems:
                    act()
            except Exception as problem:
                self.problems.append("%.3f: %r" % (time.monotonic(), problem))

        self.threads.append(threading.Thread(target=run, daemon=True))

    def finish(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join(max(1.0, self.until - time.monotonic()) + 160)
        if any(thread.is_alive() for thread in self.threads):
            self.problems.append("somebody hangs")

    def report(self):
        return "\n".join(self.problems + ["%.3f: %s" % life for life in self.lives[-25:]])


def chaotic(crowd, one, kind, database):
    life = kind(crowd.seed())
    crowd.started(life)
    try:
        life.live(one.address, database)
    except (chaos.wireclient.WireError, OSError):
        pass  # what they get is not judged


def is_idle(console, sizes):
    """Whether nobody waits, nobody holds a server and no server is in the middle of something."""
    pools = [row for row in console.ask("SHOW POOLS") if row["database"] in sizes]
    busy = [(row["database"], name, row[name]) for row in pools for name in row
            if name in ("cl_active", "cl_waiting", "sv_active", "sv_idle_xact", "sv_login", "sv_tested") and row[name] not in ("0", None)]
    return not busy and all(int(row["sv_idle"]) <= sizes[row["database"]] for row in pools)


@pytest.mark.parametrize("way", WAYS, ids=["%s-%s-%d" % way for way in WAYS])
def test_nobody_is_harmed(pooler, postgres, ready, way):
    mode, prepared, workers = way
    postgres.sql("TRUNCATE public.chaos_sink")
    breaker = chaos.Breaker(postgres.address, FIRST)
    size = HONEST + 2 if mode == "session" else 2
    one = pooler(databases=[database_row(postgres), dict(database_row(postgres, TORN), port=breaker.port)], users=[
        {"name": harness.USER, "password": harness.PASSWORD, "databases": [DATABASE, TORN]}], default_pool_size=size, pooler_mode=mode,
        prepared_statements=prepared, workers=workers, checkout_timeout=60000, rollback_timeout=1000, log_connections=False,
        log_disconnections=False, connect_timeout=5000, **WILD[(WAYS.index(way) + SETTINGS) % 4 if SETTINGS < 4 else SETTINGS])
    console = Console(one.console(timeout=60))
    honest = [chaos.Honest("%s%d" % (kind, number), postgres, one.address, database, mode, database == DATABASE)
              for number in range(HONEST) for kind, database in (("calm", DATABASE), (TORN, TORN))]
    descriptors = len(os.listdir("/proc/%d/fd" % one.pid))
    breaker.breaks_logins = 0.1
    crowd = Crowd(time.monotonic() + LENGTH_S)
    crowd.is_enough = lambda: min(client.rounds for client in honest) > 1
    for _ in range(CHAOTIC):
        crowd.repeat(lambda: chaotic(crowd, one, chaos.Life, DATABASE))
    crowd.repeat(lambda: chaotic(crowd, one, chaos.Gate, DATABASE))
    crowd.repeat(lambda: chaotic(crowd, one, chaos.Operator, None))
    for _ in range(VICTIMS):
        crowd.repeat(lambda: chaotic(crowd, one, chaos.Victim, TORN))
    for client in honest:
        crowd.repeat(client.round)
    crowd.finish()
    doing = ["%s: %s, %d rounds, %s" % (client.me, client.doing, client.rounds, client.refusals) for client in honest]
    assert not crowd.problems, "\n".join([crowd.report()] + doing + [str(row) for what in ("SHOW POOLS", "SHOW CLIENTS", "SHOW SERVERS") for row in console.ask(what)])
    breaker.breaks_logins = 0
    for client in honest:
        client.leave()
    try:
        wait_until(lambda: is_idle(console, {DATABASE: size, TORN: size}), 15, "the end of all that the departed did", 0.05)
    except AssertionError as problem:
        raise AssertionError("\n".join([str(problem), crowd.report()] + [str(row) for what in ("SHOW POOLS", "SHOW CLIENTS", "SHOW SERVERS")
                                                                        for row in console.ask(what)])) from None
    for client in honest:
        client.settle()
    wait_until(lambda: len(os.listdir("/proc/%d/fd" % one.pid)) <= descriptors + 2 * size + 6, 10, "the end of all descriptors")
    busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND state <> 'idle'" % harness.USER
    wait_until(lambda: postgres.value(busy) == "0", 10, "the end of all work on the server")
    assert min(client.rounds for client in honest) > 1, doing
    breaker.close()
    print("%d lives, %d answers and logins broken; %s" % (crowd.next - FIRST, breaker.broken, "; ".join(doing)))


# ---- what it has found --------------------------------------------------------------------------------------------------------


def test_statement_that_somebody_else_has_made(pooler, postgres):
    """A function prepares a statement under pgring's name for another client's, on a server that lacks it. That client's next request
    fails there, which is right, but not all of them until the server connection ends."""
    postgres.sql("CREATE OR REPLACE FUNCTION public.occupies(name text) RETURNS void LANGUAGE plpgsql AS "
                 "$$BEGIN EXECUTE 'PRE' || 'PARE ' || name || ' AS SELECT 666'; END$$")
    one = pooler(default_pool_size=1, workers=1)
    owner, other = one.connect(), one.connect()
    owner.send(parse("SELECT 1234 AS mine", "v") + SYNC)
    owner.read_ready()
    name = other.one("SELECT name FROM pg_prepared_statements WHERE statement LIKE '%AS mine'")
    Console(one.console()).ask("RECONNECT")
    other.ask("SELECT public.occupies('%s')" % name)
    got = []
    for _ in range(4):
        owner.send(bind(name="v") + execute() + SYNC)
        got.append([chaos.wireclient.error_fields(body)["C"] if kind == b"E" else body for kind, body in owner.read_ready() if kind in b"ED"])
    assert got == [["42P05"]] + [[b"\0\1\0\0\0\0041234"]] * 3
