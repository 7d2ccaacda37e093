"""The tests' own tools: would they notice?"""
import socket
import struct
import threading

import pytest

import dialogues
import harness
import test_dialogues
import wireclient
from harness import DATABASE, PASSWORD, ROLES, USER
from wireclient import message, query


class Relay:
    """Passes bytes on to PostgreSQL; `change` may alter what the server says, one message at a time."""

    def __init__(self, address, change):
        self.address, self.change = address, change
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = [self.listener]
        harness.serve_each(self.listener, self._serve)

    def _serve(self, client):
        server = socket.create_connection(self.address)
        self.sockets += [client, server]
        threading.Thread(target=self._up, args=(client, server), daemon=True).start()
        self._down(client, server)

    @staticmethod
    def _up(client, server):
        try:
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _down(self, client, server):
        buf, ready = b"", 0
        try:
            while data := server.recv(65536):
                buf += data
                while len(buf) >= 5 and len(buf) > struct.unpack_from("!i", buf, 1)[0]:
                    length = 1 + struct.unpack_from("!i", buf, 1)[0]
                    one, buf = buf[:length], buf[length:]
                    client.sendall(self.change(one[:1], one[5:]) if ready else one)
                    ready += one[:1] == b"Z"  # from the end of the login on
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        for sock in self.sockets:
            sock.close()


def unchanged(kind, body):
    return message(kind, body)


def drops_notices(kind, body):
    return b"" if kind == b"N" else message(kind, body)


def adds_a_notice(kind, body):
    return message(kind, body) + (message(b"N", b"SNOTICE\0C00000\0Mhello\0\0") if kind == b"T" else b"")


def one_bit(kind, body):
    return message(kind, body[:-1] + bytes([body[-1] ^ 1]) if kind == b"D" and body else body)


def tag_without_count(kind, body):
    return message(kind, b"SELECT\0" if kind == b"C" and body.startswith(b"SELECT") else body)


def wrong_status(kind, body):
    return message(kind, b"T" if kind == b"Z" else body)


def ready_twice(kind, body):
    return message(kind, body) * (2 if kind == b"Z" else 1)


def row_lost(kind, body):
    return b"" if kind == b"D" and body.endswith(b"two") else message(kind, body)


def one_more_at_the_end(kind, body):
    return message(kind, body) + (message(b"N", b"SNOTICE\0C00000\0Mlate\0\0") if kind == b"Z" else b"")


def error_without_position(kind, body):
    if kind != b"E":
        return message(kind, body)
    return message(kind, b"\0".join(part for part in body.split(b"\0") if not part.startswith(b"P")).rstrip(b"\0") + b"\0\0")


def held(relay, postgres, name):
    wire = wireclient.connect(("127.0.0.1", relay.port), USER, PASSWORD, DATABASE)
    try:
        return test_dialogues.comparable(dialogues.DIALOGUES[name], test_dialogues.hold(dialogues.DIALOGUES[name], wire, postgres), set())
    finally:
        wire.drop()


@pytest.mark.parametrize("change, name, same", (
    (unchanged, "simple_table", True), (unchanged, "notice", True), (unchanged, "error_syntax", True), (unchanged, "extended_one", True),
    (drops_notices, "notice", False), (adds_a_notice, "simple_one_row", False), (one_bit, "simple_one_row", False), (tag_without_count, "simple_one_row", False),
    (wrong_status, "simple_one_row", False), (ready_twice, "multi_selects", False), (row_lost, "copy_in", False),
    (one_more_at_the_end, "simple_one_row", False),
    (error_without_position, "error_syntax", False), (one_bit, "rows_100_of_100_kb", False)))
def test_a_small_difference_is_seen(postgres, change, name, same):
    """A relay that changes one small thing must fail the comparison."""
    postgres.sql("SELECT wire_reset()")
    direct, changed = Relay(postgres.address, unchanged), Relay(postgres.address, change)
    try:
        expected = held(direct, postgres, name)
        postgres.sql("SELECT wire_reset()")
        assert (expected == held(changed, postgres, name)) == same
    finally:
        direct.close()
        changed.close()


def test_a_lost_write_is_seen(postgres):
    postgres.sql("SELECT wire_reset()")
    before = postgres.value("SELECT wire_state()")
    for statement in ("UPDATE items SET name = 'x' WHERE id = 5", "INSERT INTO lines (line) VALUES ('x')", "INSERT INTO pairs VALUES (1, 'x')",
        "DELETE FROM parents WHERE id = 1"):
        postgres.sql(statement)
        assert postgres.value("SELECT wire_state()") != before
        postgres.sql("SELECT wire_reset()")
        assert postgres.value("SELECT wire_state()") == before


@pytest.mark.parametrize("user", ROLES)
def test_every_login_of_the_client(postgres, user):
    with postgres.connect(user) as wire:
        assert wire.one("SELECT session_user") == user


def test_wrong_passwords_are_refused(postgres):
    for user in ("wire", "mona", "clara"):
        with pytest.raises(wireclient.ServerError) as caught:
            wireclient.connect(postgres.address, user, "wrong", DATABASE)
        assert caught.value.sqlstate == "28P01"


def test_secrets_are_what_postgres_stores(postgres):
    postgres.sql("CREATE ROLE stored LOGIN")
    try:
        postgres.sql("ALTER ROLE stored PASSWORD '%s'" % wireclient.scram_secret("a secret"))
        stored = postgres.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'mona'")
        assert stored == wireclient.md5_secret("mona", ROLES["mona"][0])
        assert postgres.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'stored'").startswith("SCRAM-SHA-256$4096:")
    finally:
        postgres.sql("DROP ROLE stored")


def test_client_tells_silence_from_an_end(postgres):
    with postgres.connect() as wire:
        assert wire.silent(0.05)
        wire.send(query("SELECT 1"))
        assert not wire.silent(wireclient.PATIENCE_S)
        wire.read_ready()
        wire.send(wireclient.TERMINATE)
        assert wire.read_to_end() == []
        assert not wire.silent(0.05)


def test_client_gives_up_in_time(postgres):
    with postgres.connect() as wire:
        wire.send(query("SELECT pg_sleep(3)"))
        with pytest.raises(wireclient.TimedOut):
            wire.read_ready(1, 0.1)


def test_dirty_logs_are_found(postgres):
    one = harness.Pgring(postgres)
    one.process = type("Ended", (), {"log": lambda self: "x\npgring: invariant broken: a, in b at c:1\n"})()
    with pytest.raises(AssertionError):
        one.check(0)
    one.process = type("Ended", (), {"log": lambda self: "all is well"})()
    one.check(0)
    with pytest.raises(AssertionError):
        one.check(1)
    one.directory.remove()


def test_toml_writer(postgres):
    written = harness.toml({"general": {"host": 'a"b\\c', "port": 1, "on": True, "list": ["x", 2], "not": None}, "databases": [{"name": "a"}, {"name": "b"}]})
    try:
        import tomllib
    except ImportError:
        pytest.skip("no TOML reader before Python 3.11")
    assert tomllib.loads(written) == {"general": {"host": 'a"b\\c', "port": 1, "on": True, "list": ["x", 2]}, "databases": [{"name": "a"}, {"name": "b"}]}


def test_servers_come_back(breakable):
    for end in (breakable.stop, breakable.crash):
        breakable.sql("CREATE TABLE IF NOT EXISTS kept (a int)", "postgres")
        end()
        with pytest.raises(OSError):
            socket.create_connection(breakable.address, 1)
        breakable.start()
        assert breakable.sql("SELECT count(*) FROM kept", "postgres") == [["0"]]
