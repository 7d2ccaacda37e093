"""A client of the same pool who changes whatever a session can change, and leaves at bad moments. Nobody else may see any of it."""
import random
import threading

import harness
import wireclient
from wireclient import parse, query

PAUSE_S = 0.02  # he shall disturb, not overload

STATEMENTS = (
    "SET search_path = nowhere", "SET TimeZone = 'Asia/Tokyo'", "SET DateStyle = 'SQL, DMY'", "SET bytea_output = 'escape'",
    "SET application_name = 'the neighbour'", "SET app.who = 'the neighbour'", "SET app.born = 'the neighbour'",
    "SET extra_float_digits = -10", "SET default_transaction_read_only = on", "SET statement_timeout = '10min'", "SET work_mem = '64kB'",
    "SET client_encoding = 'LATIN1'", "SET default_transaction_isolation = 'serializable'", "SET jit = off", "SET client_min_messages = 'error'",
    "RESET ALL", "DISCARD ALL", "DEALLOCATE ALL", "CLOSE ALL", "UNLISTEN *", "LISTEN neighbours_news", "BEGIN", "SELECT 1/0", "COMMIT",
    "SELECT 666", "PREPARE s1 AS SELECT 666", "PREPARE _pg3_0 AS SELECT 666", "BEGIN; DECLARE mine CURSOR FOR SELECT 666",
    "COPY (SELECT 666) TO STDOUT", "SELECT g FROM generate_series(1, 1000) g",
)
# As the drivers call theirs.
NAMES = ("", "s1", "_pg3_0", "__asyncpg_stmt_1__", "S_1", "s0", "sqlx_s_1", "stmtcache_1", "lrupsc_1_0")


class Neighbour:
    """with Neighbour(pooler): ..."""

    def __init__(self, pooler):
        self.pooler = pooler
        self.chance = random.Random(7)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(30)

    def _live(self):
        while not self.over.is_set():
            try:
                self._visit()
            except (wireclient.WireError, OSError):
                pass  # what others get is judged, not what he gets

    def _visit(self):
        with wireclient.connect(self.pooler.address, harness.USER, harness.PASSWORD, harness.DATABASE) as wire:
            for _ in range(self.chance.randint(1, 8)):
                if self.chance.random() < 0.25:
                    wire.send(parse("SELECT 666", self.chance.choice(NAMES)) + wireclient.SYNC)
                else:
                    wire.send(query(self.chance.choice(STATEMENTS)))
                wire.read_ready()
                if self.over.wait(PAUSE_S):
                    return
            # He leaves in the middle of it: no pause in a transaction, or others would rightly wait for him.
            wire.send(query(self.chance.choice(STATEMENTS)))
            if self.chance.random() < 0.5:
                wire.drop(reset=True)
