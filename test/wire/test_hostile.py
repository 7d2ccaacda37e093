"""Half of the clients change whatever a session can change and vanish at random points; the other half check that they have exactly
what they themselves have set, and their own rows. HOSTILE_S says how long it takes (10 s): under a sanitizer, make it 600."""
import os
import random
import threading
import time

import pytest

import differential
import harness
import wireclient
from wireclient import FLUSH, SYNC, bind, copy_data, execute, parse, query

pytestmark = pytest.mark.pgring_only

LENGTH_S = float(os.environ.get("HOSTILE_S", "10"))
CHECKERS, HOSTILES = 6, 6

WORDS = (
    "SET search_path = aside", "SET TimeZone = 'Asia/Tokyo'", "SET DateStyle = 'SQL, DMY'", "SET bytea_output = 'escape'",
    "SET application_name = 'hostile'", "SET my.tenant = 'hostile'", "SET extra_float_digits = -10", "SET default_transaction_read_only = on",
    "SET statement_timeout = 1", "SET work_mem = '64kB'", "SET client_encoding = 'LATIN1'", "SET default_transaction_isolation = 'serializable'",
    "SET client_min_messages = 'error'", "SET ROLE other", "SET ROLE sam", "SET SESSION AUTHORIZATION wire", "SET standard_conforming_strings = off",
    "SELECT set_config('my.' || 'tenant', 'hostile', false)", "SELECT set_config('search_path', 'aside', false)", "DO $$BEGIN SET work_mem = '65kB'; END$$",
    "RESET ALL", "DISCARD ALL", "DEALLOCATE ALL", "CLOSE ALL", "UNLISTEN *", "LISTEN hostile", "NOTIFY hostile", "BEGIN", "BEGIN", "SELECT 1/0", "COMMIT",
    "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "PREPARE mine AS SELECT 'hostile'", "PREPARE s AS SELECT 'hostile'", "EXECUTE s",
    "CREATE TEMP TABLE place AS SELECT 'hostile'::text AS name", "CREATE TEMP TABLE ledger (who int, a int)", "DROP TABLE pg_temp.place",
    "SELECT pg_try_advisory_lock(666)", "SELECT pg_try_advisory_lock_shared(1)", "SELECT pg_advisory_unlock_all()", "SELECT setseed(0.5)",
    "BEGIN; DECLARE c CURSOR FOR SELECT 'hostile'", "BEGIN; DECLARE h CURSOR WITH HOLD FOR SELECT 'hostile'; COMMIT", "FETCH 1 FROM h",
    "SELECT nextval('public.counter')", "SELECT 'hostile', pg_sleep(0.01)", "SELECT 'hostile' FROM generate_series(1, 3000)",
    "COPY (SELECT 'hostile' FROM generate_series(1, 3000)) TO STDOUT", "INSERT INTO ledger VALUES (666, 1)", "DELETE FROM ledger WHERE who = 666",
)

# Timeouts that strike while the server is cleaned, or at the very end of it.
HASTY = ("SET statement_timeout = 1",) * 4 + (
    "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "ROLLBACK TO a", "SELECT 1/0", "RESET ALL", "DISCARD ALL", "SET ROLE other", "SET work_mem = '64kB'",
    "LISTEN hostile", "UNLISTEN *", "SELECT pg_try_advisory_lock(666)", "SELECT 'hostile', pg_sleep(0.01)",
    "COPY (SELECT 'hostile' FROM generate_series(1, 3000)) TO STDOUT",
)


def hostile_words(chance, words):
    kind = chance.random()
    if kind < 0.7:
        return query(chance.choice(words))
    if kind < 0.8:
        return parse(chance.choice(words), chance.choice(("", "mine", "s"))) + chance.choice((b"", FLUSH, SYNC))
    if kind < 0.9:
        return parse(chance.choice(words)) + bind() + execute(rows=chance.choice((0, 1))) + SYNC
    if kind < 0.95:
        return query("COPY written FROM STDIN") + copy_data(b"1\n") * chance.randint(0, 5)
    return query(chance.choice(words)) * 5


def visit(chance, address, vocabulary):
    """A hostile client's life."""
    with wireclient.connect(address, harness.USER, harness.PASSWORD, harness.DATABASE) as wire:
        for _ in range(chance.randint(1, 12)):
            words = hostile_words(chance, vocabulary)
            if chance.random() < 0.05:
                words = words[:chance.randint(1, len(words))]
            wire.send(words)
            if chance.random() < 0.7:
                wire.silent(chance.random() * 0.03)
        wire.drop(reset=chance.random() < 0.5)


class Checker:
    """A client, and what it has set."""

    VALUES = {"TimeZone": ("UTC", "Europe/Vienna"), "work_mem": ("5MB", "6MB"), "my.tenant": ("a", "b"), "search_path": ("public", "aside"),
              "application_name": ("one", "two"), "extra_float_digits": ("0", "1"), "statement_timeout": ("0", "1min"), "role": ("none", "other"),
              "DateStyle": ("ISO, DMY", "ISO, YMD"), "default_transaction_read_only": ("off", "off"), "bytea_output": ("hex", "hex")}

    def __init__(self, number, address):
        self.number, self.chance, self.rounds = number, random.Random("checker %d" % number), 0
        self.wire = wireclient.connect(address, harness.USER, harness.PASSWORD, harness.DATABASE)
        self.has = {}
        for name in self.VALUES:
            self.set(name)
        self.wire.send(parse("SELECT %d, $1::text" % number, "mine") + SYNC)
        self.wire.read_ready()

    def set(self, name):
        value = self.chance.choice(self.VALUES[name])
        if self.chance.random() < 0.5 or "," in value:
            self.ask("SELECT set_config('%s', '%s', false)" % (name, value))
        else:
            self.ask("SET %s = '%s'" % (name, value))
        self.has[name] = value

    def ask(self, sql):
        self.wire.send(query(sql))
        answer = self.wire.read_ready(timeout=60)
        errors = [wireclient.error_fields(body) for kind, body in answer if kind == b"E"]
        assert not errors, (sql, errors)
        return self.wire.rows(answer)

    def check(self):
        names = list(self.has)
        row = self.ask("SELECT %s, (SELECT name FROM place), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), "
                       "(SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()), (SELECT count(*) FROM pg_cursors WHERE is_holdable), "
                       "(SELECT count(*) FROM pg_prepared_statements WHERE from_sql), (SELECT count(*) FROM pg_listening_channels())"
                       % ", ".join("current_setting('%s')" % name for name in names))[0]
        assert row == [self.has[name] for name in names] + [self.has["search_path"]] + ["0"] * 5, (row, self.has)

    def transaction(self):
        before = dict(self.has)
        self.ask("BEGIN")
        for _ in range(self.chance.randint(0, 2)):
            self.set(self.chance.choice(list(self.VALUES)))
        self.ask("INSERT INTO public.ledger VALUES (%d, %d)" % (self.number, self.rounds))
        assert self.ask("SELECT count(*) FROM public.ledger WHERE who = %d AND a = %d" % (self.number, self.rounds)) == [["1"]]
        if self.chance.random() < 0.5:
            self.ask("COMMIT")
            self.ask("DELETE FROM public.ledger WHERE who = %d AND a = %d" % (self.number, self.rounds))
        else:
            self.ask("ROLLBACK")
            self.has = before

    def prepared(self):
        value = str(self.chance.random())
        self.wire.send(bind([value], name="mine") + execute() + SYNC)
        answer = self.wire.read_ready(timeout=60)
        assert self.wire.rows(answer) == [[str(self.number), value]], answer

    def pin(self):
        me = self.number
        if self.chance.random() < 0.5:
            self.ask("CREATE TEMP TABLE mine AS SELECT %d AS me" % me)
            assert self.ask("SELECT me FROM mine") == [[str(me)]]
            self.ask("DROP TABLE mine")
        else:
            assert self.ask("SELECT pg_try_advisory_lock(%d)" % (1000 + me)) == [["t"]]
            assert self.ask("SELECT pg_advisory_unlock(%d)" % (1000 + me)) == [["t"]]

    def live(self, goes_on):
        while goes_on():
            self.rounds += 1
            self.chance.choice((self.check, self.check, self.transaction, self.prepared, self.pin, lambda: self.set(self.chance.choice(list(self.VALUES)))))()
        self.check()
        assert self.ask("SELECT count(*) FROM public.ledger WHERE who = %d" % self.number) == [["0"]]


@pytest.mark.parametrize("words,length_s", ((WORDS, LENGTH_S), (HASTY, LENGTH_S / 2)), ids=("all", "timeouts"))
def test_nobody_sees_what_others_do(pooler, postgres, words, length_s):
    postgres.sql(differential.FIXTURE)
    postgres.sql("CREATE TABLE IF NOT EXISTS public.ledger (who int, a int); TRUNCATE public.ledger; GRANT ALL ON public.ledger TO PUBLIC")
    one = pooler(default_pool_size=6, checkout_timeout=60000)
    problems, visits = [], [0] * HOSTILES

    def is_enough():
        return min(checker.rounds for checker in checkers) > 3 and min(visits) > 3

    def goes_on():
        return time.monotonic() < until or not is_enough() and time.monotonic() < until + 60

    def be_hostile(number):
        chance = random.Random("hostile %d" % number)
        while goes_on() and not problems:
            visits[number] += 1
            try:
                visit(chance, one.address, words)
            except (wireclient.WireError, OSError):
                pass  # what they get is not judged here

    def check(checker):
        try:
            checker.live(goes_on)
        except Exception as problem:
            problems.append((checker.number, checker.rounds, repr(problem)))

    checkers = [Checker(number, one.address) for number in range(CHECKERS)]
    until = time.monotonic() + length_s
    threads = [threading.Thread(target=check, args=(checker,), daemon=True) for checker in checkers]
    threads += [threading.Thread(target=be_hostile, args=(number,), daemon=True) for number in range(HOSTILES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(length_s + 180)
    assert not problems, problems
    assert is_enough(), ([checker.rounds for checker in checkers], visits)
    print("rounds of the checkers %s, visits of the hostile %s" % ([checker.rounds for checker in checkers], visits))
