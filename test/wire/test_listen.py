"""LISTEN and NOTIFY outside of session mode: none lost, none doubled, none out of order, and no server kept."""
import threading
import time

import pytest

import harness
import wireclient
from wireclient import SYNC, bind, execute, parse, query

pytestmark = pytest.mark.pgring_only
MANY = 100


class Listener:
    """A client and the notifications that have come to it."""

    def __init__(self, pooler, *statements, **options):
        self.wire = pooler.connect(**options)
        self.heard = []
        for statement in statements:
            self.ask(statement)

    def note(self, messages):
        for kind, body in messages:
            if kind == b"A":
                channel, payload, rest = body[4:].split(b"\0")
                assert rest == b""
                self.heard.append((channel.decode(), payload.decode()))
        return wireclient.Wire.rows(messages)

    def ask(self, statement):
        self.wire.send(query(statement))
        return self.note(self.wire.read_ready())

    def extended(self, *statements, name=""):
        for statement in statements:
            self.wire.send(parse(statement, name) + bind(name=name) + execute())
        self.wire.send(SYNC)
        return self.note(self.wire.read_ready())

    def hears(self, *payloads, channel=None):
        """Exactly these come next, and they are taken."""
        expected = [p if isinstance(p, tuple) else (channel, p) for p in payloads]
        while len(self.heard) < len(expected):
            message = self.wire.read()
            assert message[0] == b"A", message
            self.note([message])
        taken, self.heard = self.heard[:len(expected)], self.heard[len(expected):]
        assert taken == expected

    def hears_nothing(self):
        """What was notified before would have come: a notification to oneself comes behind it."""
        assert self.heard == []
        assert self.wire.silent(0.05)

    def close(self):
        self.wire.close()


def start(pooler, server=None, **options):
    options.setdefault("pooler_mode", "transaction")
    options.setdefault("default_pool_size", 2)
    return pooler(server, **options)


def await_unpinned(server):
    """No client has a server: those that listen have moved to the listening connection."""
    def is_so():
        with server.console() as console:
            return not [row for row in console.ask("SHOW CLIENTS") if row[1] == harness.USER and row[4] != "idle"]
    harness.wait_until(is_so, what="listening clients without a server")


def test_hears_what_is_notified(postgres, pooler):
    server = start(pooler)
    one = Listener(server, "LISTEN news")
    postgres.sql("NOTIFY news, 'at once'")
    one.hears("at once", channel="news")
    await_unpinned(server)
    postgres.sql("NOTIFY news, 'later'")
    postgres.sql("SELECT pg_notify('news', E'quote '' and \\n line \\\\ and é')")
    postgres.sql("NOTIFY news")
    one.hears("later", "quote ' and \n line \\ and é", "", channel="news")
    one.ask("NOTIFY news, 'mine'")
    one.hears("mine", channel="news")
    one.close()


def test_more_listeners_than_servers(postgres, pooler):
    """None is lost and all are in order, whoever moves when, and while others work on the same two servers."""
    server = start(pooler)
    listeners, sent = [], []
    for number in range(MANY):
        listeners.append((Listener(server, "LISTEN crowd"), len(sent)))
        sent.append("during %d" % number)
        postgres.sql("NOTIFY crowd, '%s'" % sent[-1])
    for number in range(MANY):
        sent.append("after %d" % number)
        postgres.sql("NOTIFY crowd, '%s'" % sent[-1])
        listeners[number][0].ask("SELECT %d" % number)
    for listener, since in listeners:
        listener.hears(*sent[since:], channel="crowd")
    await_unpinned(server)
    sent = ["many %d" % number for number in range(MANY)]
    postgres.sql("".join("NOTIFY crowd, '%s';" % payload for payload in sent))
    for listener, _ in listeners:
        listener.hears(*sent, channel="crowd")
        listener.close()


def test_order_over_channels_while_moving(postgres, pooler):
    """A client listens to more and more and to less again, while each of two channels is notified in turn."""
    server = start(pooler)
    one = Listener(server, "LISTEN first; LISTEN second")
    sent = []
    for number in range(40):
        for channel in ("first", "second", "third"):
            payload = "%s %d" % (channel, number)
            postgres.sql("NOTIFY %s, '%s'" % (channel, payload))
            if channel != "third":
                sent.append((channel, payload))
        one.ask("LISTEN extra%d" % number if number % 2 else "UNLISTEN extra%d" % max(0, number - 1))
    one.hears(*sent)
    one.close()


def test_transactions(postgres, pooler):
    server = start(pooler)
    one = Listener(server, "BEGIN", "LISTEN undone", "ROLLBACK", "BEGIN", "LISTEN done")
    postgres.sql("NOTIFY done, 'too early'")
    one.ask("COMMIT")
    postgres.sql("NOTIFY undone, 'no'; NOTIFY done, 'yes'")
    one.hears("yes", channel="done")
    await_unpinned(server)
    # taken back
    for statement in ("BEGIN", "UNLISTEN *", "ROLLBACK"):
        one.ask(statement)
    postgres.sql("NOTIFY done, 'still'")
    one.hears("still", channel="done")
    # not before the end of the transaction, and all then
    await_unpinned(server)
    one.ask("BEGIN")
    one.ask("SELECT 1")
    postgres.sql("NOTIFY done, 'within'")
    assert one.wire.silent(0.2)
    one.ask("COMMIT")
    one.hears("within", channel="done")
    # in the middle of a transaction, kept and taken back
    for end, heard in (("ROLLBACK", True), ("COMMIT", False)):
        await_unpinned(server)
        for statement in ("BEGIN", "SELECT 1", "UNLISTEN done", "LISTEN other", end):
            one.ask(statement)
        postgres.sql("NOTIFY done, '%s'; NOTIFY other, '%s'" % (end, end))
        one.hears((("done" if heard else "other"), end))
    await_unpinned(server)
    for statement in ("BEGIN", "SELECT 1", "UNLISTEN other", "COMMIT"):
        one.ask(statement)
    await_unpinned(server)
    postgres.sql("NOTIFY other, 'no'")
    one.hears_nothing()
    one.close()


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("how", ["UNLISTEN *", "DO $$BEGIN UNLISTEN *; END$$"])
def test_silence_within_a_transaction(postgres, pooler, batch, how):
    """Nothing is heard by the server any more at its end, whether it is rolled back or not."""
    server = start(pooler)
    one = Listener(server, "LISTEN a", "LISTEN b")
    send = one.extended if batch else lambda *statements: [one.ask(statement) for statement in statements]
    await_unpinned(server)
    send("BEGIN", "SELECT 1", how)
    one.ask("ROLLBACK")
    postgres.sql("NOTIFY a, '1'; NOTIFY b, '1'")
    one.hears(("a", "1"), ("b", "1"))
    await_unpinned(server)
    send("BEGIN", "SELECT 1", how, "LISTEN b", "LISTEN c", "NOTIFY b, 'own'")
    one.ask("COMMIT")
    postgres.sql("NOTIFY a, '2'; NOTIFY b, '2'; NOTIFY c, '2'")
    one.hears(("b", "own"), ("b", "2"), ("c", "2"))
    await_unpinned(server)
    send("BEGIN", "SELECT 1", how)
    one.ask("COMMIT")
    postgres.sql("NOTIFY a, '3'; NOTIFY b, '3'; NOTIFY c, '3'")
    one.hears_nothing()
    one.close()


def test_its_own_within_the_transaction(pooler):
    server = start(pooler)
    one = Listener(server)
    one.ask("LISTEN own; NOTIFY own, 'same string'")
    one.hears("same string", channel="own")
    for statement in ("BEGIN", "NOTIFY own, '1'", "NOTIFY own, '2'", "COMMIT"):
        one.ask(statement)
    one.hears("1", "2", channel="own")
    one.ask("BEGIN")
    one.ask("NOTIFY own, 'never'")
    one.ask("ROLLBACK")
    one.ask("NOTIFY own, 'last'")
    one.hears("last", channel="own")
    one.close()


@pytest.mark.parametrize("batch", [False, True])
def test_its_own_on_a_channel_that_it_listens_to_later(postgres, pooler, batch):
    """Its listening connection does not tell it that, but its server does, before the marker."""
    server = start(pooler)
    one = Listener(server, "LISTEN a")
    send = one.extended if batch else lambda *statements: [one.ask(statement) for statement in statements]
    await_unpinned(server)
    send("BEGIN", "NOTIFY a, '1'", "NOTIFY b, '2'", "LISTEN b", "NOTIFY a, '3'", "NOTIFY b, '4'")
    one.ask("COMMIT")
    one.hears(("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"))
    postgres.sql("NOTIFY b, '5'; NOTIFY a, '5'")
    one.hears(("b", "5"), ("a", "5"))
    one.close()


def test_unlisten(postgres, pooler):
    server = start(pooler)
    one = Listener(server, "LISTEN a", "LISTEN b", "LISTEN c")
    await_unpinned(server)
    one.ask("UNLISTEN b")
    postgres.sql("NOTIFY a, '1'; NOTIFY b, '1'; NOTIFY c, '1'")
    one.hears(("a", "1"), ("c", "1"))
    await_unpinned(server)
    one.ask("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;")
    postgres.sql("NOTIFY a, '2'; NOTIFY b, '2'; NOTIFY c, '2'")
    one.hears_nothing()
    one.ask("LISTEN b")
    postgres.sql("NOTIFY a, '3'; NOTIFY b, '3'")
    one.hears("3", channel="b")
    await_unpinned(server)
    one.ask("DISCARD ALL")
    postgres.sql("NOTIFY b, '4'")
    one.hears_nothing()
    one.close()


def test_what_it_listens_to_is_asked_for(pooler):
    server = start(pooler)
    one = Listener(server, "LISTEN a", 'LISTEN "B c"')
    await_unpinned(server)
    assert one.ask("SELECT 1") == [["1"]]
    assert one.ask("SELECT * FROM pg_listening_channels()") == [["a"], ["B c"]]
    await_unpinned(server)
    for statement in ("BEGIN", "UNLISTEN a", "LISTEN d"):
        one.ask(statement)
    assert one.ask("SELECT * FROM pg_listening_channels()") == [["a"], ["B c"]]
    one.ask("COMMIT")
    assert one.ask("SELECT * FROM pg_listening_channels()") == [["B c"], ["d"]]
    one.close()


def test_names(postgres, pooler):
    server = start(pooler)
    names = ["Mixed", "mixed", 'quo"te', "quo'te", "new\nline", "back\\slash", "é" * 31, ";", "x" * 63, "pg notify;--"]
    one = Listener(server)
    for name in names:
        one.ask('LISTEN "%s"' % name.replace('"', '""'))
    await_unpinned(server)
    for turn in range(2):
        for name in names:
            postgres.sql('NOTIFY "%s", \'%d\'' % (name.replace('"', '""'), turn))
    one.hears(*[(name, str(turn)) for turn in range(2) for name in names])
    one.close()


def test_extended_protocol(postgres, pooler):
    server = start(pooler)
    one = Listener(server)
    one.extended("LISTEN ext")
    await_unpinned(server)
    one.extended("LISTEN more", name="named")
    postgres.sql("NOTIFY ext, '1'; NOTIFY more, '1'")
    one.hears(("ext", "1"), ("more", "1"))
    await_unpinned(server)
    one.extended("UNLISTEN ext")
    one.wire.send(bind(name="named") + execute() + SYNC)  # again, and nothing is parsed before it
    one.note(one.wire.read_ready())
    postgres.sql("NOTIFY ext, '2'; NOTIFY more, '2'")
    one.hears("2", channel="more")
    one.close()


@pytest.mark.parametrize("before", [("SELECT 1",), ("BEGIN",), ("BEGIN", "SELECT 1"), ("SELECT 1", "SELECT 2", "SELECT 3")])
@pytest.mark.parametrize("split", [False, True])
def test_in_the_middle_of_a_batch(postgres, pooler, before, split):
    """What a driver sends in one go, or slowly: by a client that listens already. All channels are kept, but the one that goes."""
    server = start(pooler)
    one = Listener(server, "LISTEN a", "LISTEN b")

    def batch(*statements):
        pieces = [part for text in statements for part in (parse(text), bind(), execute())] + [SYNC]
        for piece in pieces if split else [b"".join(pieces)]:
            one.wire.send(piece)
            if split:
                time.sleep(0.002)
        answer = one.wire.read_ready()
        one.note(answer)
        assert [kind for kind, _ in answer if kind in b"12CZ"] == [b"1", b"2", b"C"] * len(statements) + [b"Z"]

    for turn in range(3):
        await_unpinned(server)
        payload = str(turn)
        batch(*before, "LISTEN c")
        if "BEGIN" in before:
            one.ask("COMMIT")
        postgres.sql("".join("NOTIFY %s, '%s';" % (channel, payload) for channel in "abcd"))
        one.hears(*[(channel, payload) for channel in "abc"])
        await_unpinned(server)
        batch(*before, "UNLISTEN c")
        if "BEGIN" in before:
            one.ask("COMMIT")
        postgres.sql("".join("NOTIFY %s, 'b%s';" % (channel, payload) for channel in "abcd"))
        one.hears(*[(channel, "b" + payload) for channel in "ab"])
    one.close()


def test_a_batch_that_fails(postgres, pooler):
    """Behind what pgring has sent in it, or before: what was listened to is what is listened to, and what was done is undone."""
    server = start(pooler, default_pool_size=1)
    postgres.sql("DROP TABLE IF EXISTS half; CREATE TABLE half (n int); GRANT ALL ON half TO public")
    one = Listener(server, "LISTEN a", "LISTEN b")
    for statements in (("INSERT INTO half VALUES (1)", "UNLISTEN a", "SELECT 1 / 0"), ("INSERT INTO half VALUES (1)", "SELECT 1 / 0", "UNLISTEN a"),
                       ("INSERT INTO half VALUES (1)", "LISTEN", "UNLISTEN a"), ("BEGIN", "UNLISTEN a", "SELECT 1 / 0", "UNLISTEN b")):
        await_unpinned(server)
        with pytest.raises(wireclient.ServerError) as failed:
            one.extended(*statements)
        assert failed.value.sqlstate in ("22012", "42601")
        if "BEGIN" in statements:
            one.ask("ROLLBACK")
        assert one.ask("SELECT count(*) FROM half") == [["0"]]
        postgres.sql("NOTIFY a, 'x'; NOTIFY b, 'y'")
        one.hears(("a", "x"), ("b", "y"))
    one.extended("INSERT INTO half VALUES (1)", "UNLISTEN a")
    assert one.ask("SELECT count(*) FROM half") == [["1"]]
    postgres.sql("NOTIFY a, 'x'; NOTIFY b, 'y'")
    one.hears(("b", "y"))
    one.close()


def test_a_pipeline_of_batches(postgres, pooler):
    """Each knows what the one before it came to."""
    server = start(pooler)
    one = Listener(server, "LISTEN a", "LISTEN b", "LISTEN c")
    for _ in range(3):
        await_unpinned(server)
        unlisten = [parse("UNLISTEN " + channel) + bind() + execute() for channel in "ab"]
        one.wire.send(parse("SELECT 1") + bind() + execute() + unlisten[0] + parse("SELECT 1 / 0") + bind() + execute() + SYNC +
                      query("SELECT 2; SELECT 3") + parse("SELECT 1") + bind() + execute() + unlisten[1] + SYNC + query("LISTEN d"))
        with pytest.raises(wireclient.ServerError) as failed:
            one.note(one.wire.read_ready())
        assert failed.value.sqlstate == "22012"
        assert one.note(one.wire.read_ready()) == [["2"], ["3"]]
        assert one.note(one.wire.read_ready()) == [["1"]]
        one.note(one.wire.read_ready())
        postgres.sql("".join("NOTIFY %s, 'x';" % channel for channel in "abcd"))
        one.hears(("a", "x"), ("c", "x"), ("d", "x"))
        one.ask("LISTEN b; UNLISTEN d")
    one.close()


def test_a_batch_keeps_the_clients_own_names(postgres, pooler):
    """The statement and the portal without a name, and a text too long to be kept, whatever pgring puts between."""
    server = start(pooler)
    one = Listener(server, "LISTEN a", "LISTEN b")
    await_unpinned(server)
    one.wire.send(parse("SELECT 'mine'") + bind() + parse("UNLISTEN a", "other") + execute() + bind(name="other") + execute() +
                  wireclient.close_statement("other") + SYNC)
    assert one.note(one.wire.read_ready()) == [["mine"]]
    await_unpinned(server)
    long = "SELECT 'long' /* %s */" % ("x" * 100000)
    assert one.extended("SELECT 1", long) == [["1"], ["long"]]
    postgres.sql("NOTIFY a, 'x'; NOTIFY b, 'y'")
    one.hears(("b", "y"))
    assert one.ask("SELECT count(*) FROM pg_prepared_statements WHERE name = 'pgring_listen'") == [["0"]]
    one.close()


@pytest.mark.parametrize("name", ["Mixed", 'quo"te', "quo'te", "back\\slash", "é" * 31, "$pgring$;", "END"])
def test_names_in_the_middle_of_a_batch(postgres, pooler, name):
    server = start(pooler)
    quoted = '"%s"' % name.replace('"', '""')
    one = Listener(server, "LISTEN " + quoted)
    await_unpinned(server)
    one.extended("SET standard_conforming_strings TO off", "SELECT 1", "LISTEN other")
    postgres.sql("NOTIFY %s, '1'; NOTIFY other, '1'" % quoted)
    one.hears((name, "1"), ("other", "1"))
    one.close()


def test_errors_are_postgresqls(pooler):
    server = start(pooler)
    one = Listener(server)
    for statement, state in (("LISTEN", "42601"), ("LISTEN a b", "42601"), ("NOTIFY a, '%s'" % ("x" * 8000), "22023")):
        with pytest.raises(wireclient.ServerError) as failed:
            one.ask(statement)
        assert failed.value.sqlstate == state
    assert one.ask("SELECT 1") == [["1"]]
    one.close()


def test_nobody_else_hears(postgres, pooler):
    """Whoever uses the server on which another has listened."""
    server = start(pooler, default_pool_size=1)
    other = Listener(server)
    one = Listener(server, "LISTEN private")
    for number in range(10):
        postgres.sql("NOTIFY private, '%d'" % number)
        other.ask("SELECT pg_sleep(0.01)")
    one.hears(*[str(number) for number in range(10)], channel="private")
    other.hears_nothing()
    one.close()
    other.close()


def test_a_function_that_listens_unseen(postgres, pooler):
    """It has no effect, least of all on who comes next."""
    postgres.sql("CREATE OR REPLACE FUNCTION hear() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'LIS' || 'TEN unseen'; END$$")
    server = start(pooler, default_pool_size=1)
    one, other = Listener(server, "SELECT hear()"), Listener(server)
    postgres.sql("NOTIFY unseen, 'x'")
    other.ask("SELECT 1")
    assert other.heard == []
    one.ask("SELECT 1")
    assert one.heard == []
    one.close()
    other.close()


def test_no_server_is_kept(postgres, pooler):
    """As many listen as there are servers, and more; others still work. One more connection listens for them all."""
    server = start(pooler, default_pool_size=2)
    listeners = [Listener(server, "LISTEN kept%d" % number) for number in range(4)]
    await_unpinned(server)
    other = Listener(server)
    assert other.ask("SELECT 1") == [["1"]]
    assert len(postgres.server_pids()) <= 3
    for number, listener in enumerate(listeners):
        postgres.sql("NOTIFY kept%d, 'x'" % number)
        listener.hears("x", channel="kept%d" % number)
        listener.close()
    other.close()
    harness.wait_until(lambda: len(postgres.server_pids()) <= 2, what="end of the listening connection")


def test_clients_that_vanish(postgres, pooler):
    server = start(pooler)
    for turn in range(20):
        one = Listener(server, "LISTEN gone")
        if turn % 2:
            await_unpinned(server)
        one.wire.drop(reset=turn % 3 == 0)
    one = Listener(server, "LISTEN gone")
    postgres.sql("NOTIFY gone, 'x'")
    one.hears("x", channel="gone")
    one.close()
    harness.wait_until(lambda: len(postgres.server_pids()) <= 2, what="end of the listening connection")


@pytest.mark.parametrize("how", ["terminated", "RECONNECT"])
def test_listens_again(postgres, pooler, how):
    """What is notified while nobody listens is lost; from then on, nothing is."""
    server = start(pooler)
    one = Listener(server, "LISTEN again", "LISTEN also")
    await_unpinned(server)
    pids = postgres.server_pids()
    if how == "terminated":
        for pid in pids:
            postgres.sql("SELECT pg_terminate_backend(%d)" % pid)
    else:
        with server.console() as console:
            console.ask("RECONNECT")
    harness.wait_until(lambda: not set(pids) & set(postgres.server_pids()), what="end of the old connections")

    def is_back():
        postgres.sql("NOTIFY again, 'probe'")
        return not one.wire.silent(0.1)

    harness.wait_until(is_back, what="notifications after the loss")
    postgres.sql("NOTIFY also, 'end of probes'")
    while one.heard[-1:] != [("also", "end of probes")]:
        one.note([one.wire.read()])
    assert set(one.heard[:-1]) == {("again", "probe")}
    one.heard.clear()
    for number in range(MANY):
        postgres.sql("NOTIFY %s, '%d'" % ("also" if number % 2 else "again", number))
    one.hears(*[("also" if number % 2 else "again", str(number)) for number in range(MANY)])
    one.ask("UNLISTEN also")
    postgres.sql("NOTIFY also, 'no'; NOTIFY again, 'yes'")
    one.hears("yes", channel="again")
    one.close()


@pytest.mark.parametrize("has_failed", [False, True])
def test_string_that_rolls_back_first(postgres, pooler, has_failed):
    """As pools reset a connection: what is rolled back is not what prepares the server for the UNLISTEN."""
    server = start(pooler)
    one = Listener(server, "LISTEN kept", "LISTEN dropped")
    await_unpinned(server)

    def begin():
        for statement in ("BEGIN", "SELECT 1", "LISTEN undone"):
            one.ask(statement)
        if has_failed:
            one.wire.send(query("SELECT 1/0"))
            one.wire.read_ready()

    begin()
    one.ask("ROLLBACK; UNLISTEN dropped; LISTEN added")
    await_unpinned(server)
    postgres.sql("NOTIFY dropped, 'no'; NOTIFY undone, 'no'; NOTIFY kept, 'yes'; NOTIFY added, 'yes'")
    one.hears(("kept", "yes"), ("added", "yes"))
    begin()
    one.ask("ROLLBACK;\nSELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;")
    await_unpinned(server)
    postgres.sql("NOTIFY kept, 'no'; NOTIFY added, 'no'; NOTIFY undone, 'no'")
    one.ask("SELECT 1")
    one.hears_nothing()
    one.close()


@pytest.mark.parametrize("statements, words", [
    (["SAVEPOINT s", "SELECT 1; ROLLBACK TO s; LISTEN more"], "behind a ROLLBACK"),
    (["SAVEPOINT s", "ROLLBACK TO s; UNLISTEN kept"], "behind a ROLLBACK"),
    (["SELECT 1/0", "ROLLBACK AND CHAIN; LISTEN more"], "behind a ROLLBACK"),
    (["UNLISTEN *; RESET ALL"], "RESET ALL"),
    (["LISTEN more", "RESET ALL"], "RESET ALL"),
])
def test_refused_where_it_would_be_undone(postgres, pooler, statements, words):
    server = start(pooler)
    one = Listener(server, "LISTEN kept")
    await_unpinned(server)
    for statement in ["BEGIN", "SELECT 1"] + statements:
        one.wire.send(query(statement))
        messages = one.wire.read_ready()
    fields = wireclient.error_fields(next(body for kind, body in messages if kind == b"E"))
    assert fields["C"] == "0A000" and words in fields["M"]
    one.ask("ROLLBACK")
    postgres.sql("NOTIFY kept, 'still'; NOTIFY more, 'no'")
    one.hears("still", channel="kept")
    one.ask("RESET ALL; UNLISTEN kept")
    await_unpinned(server)
    postgres.sql("NOTIFY kept, 'no'")
    one.ask("SELECT 1")
    one.hears_nothing()
    one.close()


def test_rolled_back_in_a_batch(postgres, pooler):
    """It is prepared again behind the ROLLBACK."""
    server = start(pooler)
    one = Listener(server, "LISTEN kept", "LISTEN dropped")
    await_unpinned(server)
    for statement in ("BEGIN", "SELECT 1", "SAVEPOINT s"):
        one.ask(statement)
    one.extended("LISTEN undone", "ROLLBACK TO s", "UNLISTEN dropped", "LISTEN added")
    one.ask("COMMIT")
    await_unpinned(server)
    postgres.sql("NOTIFY dropped, 'no'; NOTIFY undone, 'no'; NOTIFY kept, 'yes'; NOTIFY added, 'yes'")
    one.hears(("kept", "yes"), ("added", "yes"))
    one.ask("BEGIN")
    one.ask("SELECT 1")
    one.extended("LISTEN undone", "ROLLBACK", "UNLISTEN kept")
    await_unpinned(server)
    postgres.sql("NOTIFY kept, 'no'; NOTIFY undone, 'no'; NOTIFY added, 'yes'")
    one.hears("yes", channel="added")
    one.close()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_listening_connection_lost_while_moving(postgres, pooler, end):
    """What the next one hears is told behind the transaction, in order and once, whether that has moved its client or not."""
    server = start(pooler)
    one = Listener(server, "LISTEN moving", "LISTEN also")
    await_unpinned(server)

    def heralds():
        rows = postgres.sql("SELECT pid FROM pg_stat_activity WHERE query ~ '^LISTEN .*moving' AND state = 'idle'")
        return {int(row[0]) for row in rows}

    for statement in ("BEGIN", "SELECT 1", "LISTEN more"):
        one.ask(statement)
    harness.wait_until(heralds, what="a listening connection")
    old = heralds()
    for pid in old:
        postgres.sql("SELECT pg_terminate_backend(%d)" % pid)
    harness.wait_until(lambda: heralds() - old, what="another listening connection")
    expected = []
    for number in range(10):
        expected.append((("moving", "also")[number % 2], "%d" % number))
        postgres.sql("NOTIFY %s, '%s'" % expected[-1])
    one.ask("NOTIFY also, 'own'")
    one.ask(end)
    if end == "COMMIT":
        expected.append(("also", "own"))
    for number in range(10):
        after = (("moving", "also", "more")[number % 3], "after %d" % number)
        postgres.sql("NOTIFY %s, '%s'" % after)
        if end == "COMMIT" or after[0] != "more":
            expected.append(after)
    one.hears(*expected)
    one.hears_nothing()
    one.close()


def test_listens_again_after_a_crash(breakable, pooler):
    server = start(pooler, breakable)
    one = Listener(server, "LISTEN crash")
    await_unpinned(server)
    breakable.crash()
    breakable.start()

    def is_back():
        breakable.sql("NOTIFY crash, 'probe'")
        return not one.wire.silent(0.1)

    harness.wait_until(is_back, 30, what="notifications after the crash")
    one.close()


@pytest.mark.parametrize("at_once", [False, True])
def test_pause_and_resume(postgres, pooler, at_once):
    """A pause ends all server connections, also of who is about to move away from one."""
    server = start(pooler)
    one = Listener(server, "LISTEN paused")
    if not at_once:
        await_unpinned(server)
    with server.console() as console:
        console.ask("PAUSE")
        harness.wait_until(lambda: not postgres.server_pids(), what="end of all server connections")
        console.ask("RESUME")

    def is_back():
        postgres.sql("NOTIFY paused, 'probe'")
        return not one.wire.silent(0.1)

    harness.wait_until(is_back, what="notifications after RESUME")
    one.close()


@pytest.mark.parametrize("within_transaction", [False, True])
def test_slow_listener(postgres, pooler, within_transaction):
    """Who does not take what comes is ended, with a reason; the others go on."""
    server = start(pooler, pub_sub_channel_size=200)
    slow, quick = Listener(server, "LISTEN flood"), Listener(server, "LISTEN flood")
    await_unpinned(server)
    if within_transaction:
        slow.ask("BEGIN")
        slow.ask("SELECT 1")
    payload = "x" * 7000
    sent = 0
    while True:
        postgres.sql("".join("SELECT pg_notify('flood', '%d ' || repeat('x', 7000));" % (sent + n) for n in range(20)))
        quick.hears(*["%d %s" % (sent + n, payload) for n in range(20)], channel="flood")
        sent += 20
        with server.console() as console:
            if len([row for row in console.ask("SHOW CLIENTS") if harness.USER in row]) < 2:
                break
        assert sent < 20000
    messages = slow.wire.read_to_end()
    last = [wireclient.error_fields(body) for kind, body in messages if kind == b"E"]
    assert [fields["C"] for fields in last] in (["54000"], [])  # a client that never reads may not get it
    if within_transaction:
        assert last[0]["S"] == "FATAL" and "notifications" in last[0]["M"]
    quick.ask("SELECT 1")
    quick.close()


def test_reload_to_session_mode(postgres, pooler):
    server = start(pooler)
    one = Listener(server, "LISTEN mode")
    await_unpinned(server)
    server.general["pooler_mode"] = "session"
    server.write()
    with server.console() as console:
        console.ask("RELOAD")
    one.ask("LISTEN mode2")
    postgres.sql("NOTIFY mode, '1'; NOTIFY mode2, '1'")
    one.hears(("mode", "1"), ("mode2", "1"))
    one.ask("UNLISTEN mode")
    postgres.sql("NOTIFY mode, '2'; NOTIFY mode2, '2'")
    one.hears("2", channel="mode2")
    one.close()


@pytest.mark.parametrize("extended", (False, True), ids=("simple", "extended"))
def test_a_savepoint_takes_back_what_was_prepared(postgres, pooler, extended):
    """It is prepared again for what is listened to behind that: from its COMMIT on all is heard, in order."""
    server = start(pooler)
    one, sent, is_over, lock = Listener(server, "LISTEN a"), [], threading.Event(), threading.Lock()

    def tell(wire, *channels):
        with lock:
            sent.extend((channel, str(len(sent) + i)) for i, channel in enumerate(channels))
            wire.ask("".join("NOTIFY %s, '%s';" % it for it in sent[-len(channels):]))

    def notify():
        wire = postgres.connect()
        while not is_over.is_set():
            tell(wire, "a")
            time.sleep(0.0005)
        wire.close()

    notifier, other = threading.Thread(target=notify), postgres.connect()
    notifier.start()
    ask = one.extended if extended else one.ask
    try:
        for number in range(30):
            await_unpinned(server)
            for statement in ("BEGIN", "SELECT 1", "SAVEPOINT s", "LISTEN b", "ROLLBACK TO s", "LISTEN c%d" % number, "COMMIT"):
                ask(statement)
            tell(other, "c0", "c%d" % number)
    finally:
        is_over.set()
        notifier.join()
    one.hears(*sent)
    postgres.sql("NOTIFY b, 'no'; NOTIFY c0, 'first'; NOTIFY c29, 'last'")
    one.hears(("c0", "first"), ("c29", "last"))
    one.close()


SAVEPOINTS = {
    "unlisten": (("SAVEPOINT s", "LISTEN b", "ROLLBACK TO s", "UNLISTEN a"), ""),
    "unlisten_twice": (("SAVEPOINT s", "UNLISTEN a", "ROLLBACK TO s", "UNLISTEN a"), ""),
    "unlisten_all": (("SAVEPOINT s", "UNLISTEN *", "ROLLBACK TO s", "LISTEN b"), "ab"),
    "failed": (("SAVEPOINT s", "LISTEN b", "SELECT 1/0", "LISTEN b", "ROLLBACK TO s", "LISTEN c"), "ac"),
    "inner": (("LISTEN b", "SAVEPOINT s", "UNLISTEN *", "ROLLBACK TO s", "LISTEN c"), "abc"),
    "outer_stands": (("LISTEN b", "UNLISTEN a", "SAVEPOINT s", "LISTEN c", "ROLLBACK TO s", "LISTEN d"), "bd"),
    "silenced": (("UNLISTEN *", "SAVEPOINT s", "LISTEN c", "ROLLBACK TO s", "LISTEN d"), "d"),
    "released": (("SAVEPOINT s", "LISTEN b", "RELEASE s", "UNLISTEN a"), "b"),
    "nested": (("SAVEPOINT s", "SAVEPOINT t", "LISTEN b", "RELEASE t", "ROLLBACK TO s", "LISTEN c"), "ac"),
    "all_rolled_back": (("SAVEPOINT s", "LISTEN b", "ROLLBACK TO s", "LISTEN c", "ROLLBACK TO s"), "a"),
}


@pytest.mark.parametrize("extended", (False, True), ids=("simple", "extended"))
@pytest.mark.parametrize("name", SAVEPOINTS)
def test_savepoints(postgres, pooler, name, extended):
    statements, channels = SAVEPOINTS[name]
    server = start(pooler)
    one, other = Listener(server, "LISTEN a"), postgres.connect()
    await_unpinned(server)
    for statement in ("BEGIN", "SELECT 1") + statements + ("COMMIT",):
        try:
            (one.extended if extended else one.ask)(statement)
        except wireclient.ServerError:
            assert name == "failed" and statement in ("SELECT 1/0", "LISTEN b")
    for number in range(2):
        other.ask("".join("NOTIFY %s, '%d';" % (channel, number) for channel in "abcd"))
        one.hears(*((channel, str(number)) for channel in channels))
        one.hears_nothing()
        await_unpinned(server)
    one.close()


def test_statement_mode(postgres, pooler):
    server = start(pooler, pooler_mode="statement")
    one = Listener(server, "LISTEN single")
    await_unpinned(server)
    postgres.sql("NOTIFY single, 'x'")
    one.hears("x", channel="single")
    one.ask("UNLISTEN single")
    postgres.sql("NOTIFY single, 'y'")
    one.hears_nothing()
    one.close()


def test_another_encoding_stays_with_its_server(postgres, pooler):
    server = start(pooler)
    one = server.connect()
    one.ask("SET client_encoding TO latin1")
    one.ask("LISTEN enc")
    time.sleep(0.2)
    postgres.sql("NOTIFY enc, 'é'")
    assert one.read()[1][4:] == b"enc\0\xe9\0"
    one.close()


@pytest.mark.slow
def test_a_thousand_listeners(postgres, pooler):
    """A thousand hear a thousand, all of them and in order, on a pool of two servers."""
    server = start(pooler)
    listeners = [Listener(server, "LISTEN thousand") for _ in range(1000)]
    await_unpinned(server)
    sent = ["%d" % number for number in range(1000)]
    began = time.monotonic()
    for at in range(0, 1000, 10):
        postgres.sql("".join("NOTIFY thousand, '%s';" % payload for payload in sent[at:at + 10]))
    for listener in listeners:
        listener.hears(*sent, channel="thousand")
    harness.measured("seconds for 1000 notifications to 1000 listeners", round(time.monotonic() - began, 1))
    for listener in listeners:
        listener.wire.drop()
