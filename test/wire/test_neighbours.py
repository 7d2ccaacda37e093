"""What one client sends, however odd, changes nothing for those who have its server next: each gets its own rows and nobody's
errors. The messages here are those whose answers are hard to count."""
import random
import time

import pytest

import wireclient
from wireclient import FLUSH, SYNC, bind, copy_data, copy_fail, execute, message, parse, query

pytestmark = pytest.mark.pgring_only

COPY_DONE = message(b"c")
JUNK = copy_data(b"y" * 50000)  # outside of COPY the server reads and ignores it, which takes a while
FLUSHES = FLUSH * 20000  # so do these


@pytest.fixture
def one(pooler, postgres):
    """All share one server connection."""
    postgres.sql("CREATE TABLE IF NOT EXISTS neighbours (a int); CREATE OR REPLACE VIEW neighbours_view AS SELECT 1 AS a;"
                 "GRANT ALL ON neighbours, neighbours_view TO PUBLIC")
    yield pooler(default_pool_size=1, workers=1, rollback_timeout=1000)
    postgres.sql("DROP VIEW neighbours_view; DROP TABLE neighbours")


def extended(sql):
    return parse(sql) + bind() + execute()


def assert_served(neighbours, number, held_by):
    """Each neighbour asks for its own row and gets it. A client that still holds the server leaves after a while."""
    for i, wire in enumerate(neighbours):
        wire.send(query("SELECT %d, %d" % (number, i)))
    for i, wire in enumerate(neighbours):
        if wire.silent(0.3):
            held_by.drop()
        assert wire.rows(wire.read_ready()) == [[str(number), str(i)]]


def assert_harmless(one, said):
    neighbours = [one.connect(), one.connect()]
    for number in range(30):
        with one.connect() as odd:
            odd.send(said)
            assert_served(neighbours, number, odd)


def rows(**said):
    return pytest.mark.parametrize("said", said.values(), ids=said.keys())


VIEW, VIEW_EXTENDED = query("COPY neighbours_view FROM STDIN"), extended("COPY neighbours_view FROM STDIN")
TABLE, TABLE_EXTENDED = query("COPY neighbours FROM STDIN"), extended("COPY neighbours FROM STDIN")
TWO_TABLES = query("COPY neighbours FROM STDIN; COPY neighbours FROM STDIN")
ONE, BAD = copy_data(b"1\n"), copy_data(b"not a number\n")


# A COPY that fails before it has read anything. PostgreSQL then answers a Sync that one that reads would have swallowed, and
# what comes first looks the same in both cases.
@rows(simple=VIEW + FLUSHES + SYNC,
      extended=VIEW_EXTENDED + FLUSHES + SYNC,
      extended_done=VIEW_EXTENDED + FLUSHES + SYNC + COPY_DONE + SYNC,
      simple_data=VIEW + JUNK * 3 + SYNC,
      simple_two=VIEW + JUNK * 3 + SYNC + COPY_DONE + query("SELECT 'not yours'"),
      extended_data=VIEW_EXTENDED + JUNK * 3 + SYNC,
      extended_two=VIEW_EXTENDED + JUNK * 3 + SYNC + COPY_DONE + JUNK * 3 + SYNC,
      extended_query=VIEW_EXTENDED + JUNK * 3 + SYNC + COPY_DONE + query("SELECT 'not yours'"))
def test_a_sync_behind_a_copy_that_fails_at_once(one, said):
    assert_harmless(one, said)


# A COPY that fails while its Sync is still on its way.
@rows(simple=TABLE + BAD + JUNK * 3 + SYNC,
      simple_done=TABLE + BAD + JUNK * 3 + SYNC + COPY_DONE,
      extended=TABLE_EXTENDED + BAD + JUNK * 3 + SYNC,
      extended_done=TABLE_EXTENDED + BAD + JUNK * 3 + SYNC + COPY_DONE + SYNC)
def test_a_sync_in_the_middle_of_a_copy_that_fails(one, said):
    assert_harmless(one, said)


# PostgreSQL answers a Flush only if it is malformed: with an error, and it skips all until a Sync.
@rows(query=query("SELECT 1") + JUNK * 3 + message(b"H", b"x"),
      batch=extended("SELECT 1") + SYNC + JUNK * 3 + message(b"H", b"x"))
def test_a_flush_with_a_body(one, said):
    assert_harmless(one, said)


# Harmless, all of them, and they should stay so.
@rows(late_flush=query("SELECT 1") + JUNK * 3 + FLUSH,
      late_ends=query("SELECT 1") + JUNK * 3 + COPY_DONE + copy_fail("no"),
      malformed_ends=query("SELECT 1") + message(b"c", b"body") + message(b"f", b"no nul") + message(b"d"),
      more_syncs=query("SELECT 1/0") + SYNC + SYNC,
      skipped_query=extended("SELECT 1/0") + query("SELECT 'skipped'") + SYNC,
      no_sync=extended("SELECT 1/0") + query("SELECT 'skipped'"),
      two_copies=TWO_TABLES + (ONE + COPY_DONE) * 2 + COPY_DONE,
      two_copies_fail=TWO_TABLES + BAD + COPY_DONE + SYNC + COPY_DONE,
      copy_fails=TABLE_EXTENDED + SYNC + BAD + COPY_DONE + SYNC,
      sync_with_a_body=message(b"S", b"body") + query("SELECT 1"),
      query_without_nul=message(b"Q", b"no nul") + SYNC)
def test_odd_but_harmless(one, said):
    assert_harmless(one, said)


def odd_words(chance):
    """A few messages of a client that means no good."""
    words = []
    for _ in range(chance.randint(1, 6)):
        table = chance.choice(("neighbours", "neighbours", "neighbours_view", "nowhere"))
        ends = chance.choice((COPY_DONE, COPY_DONE, copy_fail("no"), message(b"f", b"no nul"), message(b"c", b"body")))
        sync = chance.choice((b"", SYNC))
        data = chance.choice((b"", copy_data(b"1\n"), copy_data(b"x\n"), JUNK))
        words.append(chance.choice((
            query("SELECT 'odd'"), query("SELECT 1/0"), query(""), message(b"Q", b"no nul"), query("SELECT pg_sleep(0.002)"),
            extended("SELECT 'odd'") + SYNC, extended("SELECT 1/0") + sync, SYNC, message(b"S", b"x"), FLUSH, message(b"H", b"x"),
            query("COPY %s FROM STDIN" % table) + sync + data + ends,
            query("COPY %s FROM STDIN; COPY neighbours FROM STDIN" % table) + data + ends + sync + data + ends,
            extended("COPY %s FROM STDIN" % table) + sync + data + ends + SYNC,
            ends, data, JUNK * 3, bind(), execute(), message(b"D", b"S\0"), message(b"D", b"X\0"), message(b"C", b"X\0"),
            message(b"F", b"\0\0\0\1"), query("BEGIN"), query("COMMIT"),
        )))
    said = b"".join(words)
    return said if chance.random() < 0.85 else said[:chance.randint(0, len(said))]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_odd_client(one, seed):
    """A failure says seed and round; the words follow from them."""
    neighbours = [one.connect(), one.connect()]
    for number in range(150):
        chance = random.Random(seed * 1000000 + number)
        said = odd_words(chance)
        with one.connect() as odd:
            odd.send(said)
            if chance.random() < 0.2:
                time.sleep(0.003)
            if chance.random() < 0.3:
                odd.drop()
            try:
                assert_served(neighbours, number, odd)
            except (AssertionError, wireclient.WireError) as problem:
                raise AssertionError("seed %d, round %d, after %r" % (seed, number, said[:300])) from problem
