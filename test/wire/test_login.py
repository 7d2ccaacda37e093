"""How a client gets in, and how everybody else is kept out."""
import base64
import hashlib
import hmac
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

import harness
import wireclient
from harness import DATABASE, PASSWORD, ROLES, USER, database_row, user_row
from wireclient import message, query, startup_packet, text, untyped_packet

WRONG_LOGIN = ("28000", "28P01")


def refusal(pooler, user, password, database=DATABASE, **options):
    """(kinds of the messages, authentication requests, error fields) of a login that must fail, and the connection must end."""
    wire = pooler.wire()
    seen, answers = [], []
    real = wire.read

    def recording(timeout=None):
        seen.append(real(timeout))
        return seen[-1]

    wire.read = recording
    with pytest.raises(wireclient.ServerError) as caught:
        wire.login(user, password, database, **options)
    for kind, body in seen:
        if kind == b"R":
            answers.append((struct.unpack_from("!i", body)[0], body[4:]))
    assert wire.read_to_end() == [], "something follows the refusal"
    return [kind for kind, _ in seen], answers, caught.value.fields


def await_close(wire):
    """Everything until the connection ends: error fields, or None if there was no ErrorResponse."""
    fields = None
    for kind, body in wire.read_to_end():
        if kind == b"E":
            fields = wireclient.error_fields(body)
            assert fields["S"] == "FATAL"
    return fields


# ---- right passwords -------------------------------------------------------------------------------------------------

CODES = {"scram": 10, "md5": 5, "plain": 3, "trust": 0}


@pytest.mark.parametrize("auth_type", CODES)
def test_auth_type(pooler, auth_type):
    one = pooler(auth_type=auth_type)
    wire = one.wire()
    messages = wire.login(USER, None if auth_type == "trust" else PASSWORD, DATABASE)
    assert struct.unpack_from("!i", messages[0][1])[0] == CODES[auth_type]
    assert wire.one("SELECT current_user") == USER


@pytest.mark.parametrize("user", ROLES)
def test_server_login(pooler, postgres, user):
    """The server asks each role in its own way: scram, md5, cleartext, nothing; passwords with commas, of 1000 bytes, in UTF-8."""
    one = pooler()
    wire = one.connect(user)
    assert wire.one("SELECT session_user") == user
    assert wire.one("SELECT pg_backend_pid()") in [str(pid) for pid in postgres.server_pids(user)] or user == harness.SUPERUSER


@pytest.mark.parametrize("auth_type", ("md5", "plain"))
@pytest.mark.parametrize("user", ("sam", "ursula", "larry"))
def test_unusual_passwords(pooler, auth_type, user):
    assert pooler(auth_type=auth_type).connect(user).one("SELECT 1") == "1"


def test_wrong_in_one_byte(pooler):
    one = pooler()
    for password in (PASSWORD[:-1], PASSWORD + "x", PASSWORD.upper(), "", PASSWORD + " "):
        with pytest.raises(wireclient.ServerError):
            one.connect(password=password)
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.pgring_only
@pytest.mark.parametrize("auth_type", ("scram", "md5", "plain"))
def test_several_passwords(pooler, auth_type):
    row = user_row("wire", password=None, passwords=["not for the server", PASSWORD, "third"])
    one = pooler(auth_type=auth_type, users=[row])
    for password in row["passwords"]:
        assert one.connect(password=password).one("SELECT 1") == "1"
    with pytest.raises(wireclient.ServerError):
        one.connect(password="fourth")


@pytest.mark.pgring_only
@pytest.mark.parametrize("auth_type, key, secret", (
    ("scram", "password_hash", wireclient.scram_secret("the client's")),
    ("scram", "password", wireclient.scram_secret("the client's", 100)),
    ("scram", "password_hash", wireclient.scram_secret("the client's", 15000, b"\0" * 24)),
    ("plain", "password_hash", wireclient.scram_secret("the client's")),
    ("md5", "password_hash", wireclient.md5_secret("sam", "the client's")),
    ("plain", "password_hash", wireclient.md5_secret("sam", "the client's")),
), ids=("scram_scram", "scram_as_password", "scram_15000_rounds", "plain_scram", "md5_md5", "plain_md5"))
def test_secret_instead_of_password(pooler, auth_type, key, secret):
    row = {"name": "sam", "database": DATABASE, key: secret, "server_user": USER, "server_password": PASSWORD}
    one = pooler(auth_type=auth_type, users=[row])
    assert one.connect("sam", "the client's").one("SELECT current_user") == USER
    for wrong in ("another", secret, ""):
        with pytest.raises(wireclient.ServerError) as caught:
            one.connect("sam", wrong)
        assert caught.value.sqlstate in WRONG_LOGIN


@pytest.mark.pgring_only
def test_hash_command_prints_a_usable_secret(pooler):
    done = subprocess.run([harness.BINARY, "hash", "the client's"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    secret = done.stdout.strip()
    assert secret.startswith("SCRAM-SHA-256$4096:")
    row = {"name": "sam", "database": DATABASE, "password_hash": secret, "server_user": USER, "server_password": PASSWORD}
    assert pooler(users=[row]).connect("sam", "the client's").one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_server_credentials(pooler, postgres):
    """database.user beats user.server_user, which beats user.name."""
    databases = [database_row(postgres, "a", user="sam", password=ROLES["sam"][0]), database_row(postgres, "b")]
    users = [{"name": "client", "password": "client's", "databases": ["a", "b"], "server_user": "mona", "server_password": ROLES["mona"][0]}]
    one = pooler(databases=databases, users=users)
    assert one.connect("client", "client's", "a").one("SELECT session_user") == "sam"
    assert one.connect("client", "client's", "b").one("SELECT session_user") == "mona"


@pytest.mark.pgring_only
def test_all_databases_and_default_database(pooler, postgres):
    databases = [database_row(postgres, "one"), database_row(postgres, USER), database_row(postgres, "three")]
    one = pooler(databases=databases, users=[{"name": USER, "password": PASSWORD, "all_databases": True},
                                             {"name": "sam", "password": ROLES["sam"][0], "databases": ["one", "three"]}])
    for database in ("one", USER, "three"):
        assert one.connect(database=database).one("SELECT current_database()") == DATABASE
    wire = one.wire()
    wire.login(USER, PASSWORD)  # no database: the one with the user's name
    assert wire.one("SELECT 1") == "1"
    assert one.connect("sam", database="three").one("SELECT 1") == "1"
    with pytest.raises(wireclient.ServerError):
        one.connect("sam", database=USER)


def test_200_logins_at_once(pooler):
    one = pooler(default_pool_size=5)
    wires = [one.wire(timeout=60) for _ in range(200)]
    for wire in wires:
        wire.send(startup_packet([("user", USER), ("database", DATABASE)]))
    for wire in wires:
        wire.authenticate(USER, PASSWORD)
    for wire in wires:
        wire.send(query("SELECT 42"))
    assert all(wire.rows(wire.read_ready()) == [["42"]] for wire in wires)


# ---- wrong ones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_type", ("scram", "md5", "plain"))
def test_wrong_password_and_unknown_user_look_alike(pooler, auth_type):
    one = pooler(auth_type=auth_type)
    kinds, answers, fields = refusal(one, USER, "wrong")
    kinds2, answers2, fields2 = refusal(one, "nobody", "wrong")
    assert kinds == kinds2
    assert [code for code, _ in answers] == [code for code, _ in answers2]
    assert answers[0][0] == CODES[auth_type], "no challenge"
    assert {k: v.replace(USER, "*") for k, v in fields.items() if k != "L"} == {
        k: v.replace("nobody", "*").replace(USER, "*") for k, v in fields2.items() if k != "L"}
    assert fields["S"] == "FATAL" and fields["C"] in WRONG_LOGIN
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_text_of_the_refusal(pooler):
    _, _, fields = refusal(pooler(), USER, "wrong")
    assert fields["C"] == "28P01"
    assert fields["M"] == 'password authentication failed for user "wire"'


def scram_challenge(one, user, database=DATABASE):
    wire = one.wire()
    wire.send(startup_packet([("user", user), ("database", database)]))
    _, body = wire.read()
    assert struct.unpack_from("!i", body)[0] == 10
    scram = wireclient.Scram("wrong")
    first = scram.first()
    wire.send(message(b"p", text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
    _, body = wire.read()
    assert struct.unpack_from("!i", body)[0] == 11
    final = scram.final(body[4:])
    wire.drop()
    return scram, final


def test_mock_scram_is_steady(pooler):
    """An unknown user gets the same salt each time, another one another salt, and nothing about it differs from a real user's."""
    one = pooler()
    real, _ = scram_challenge(one, USER)
    mock, _ = scram_challenge(one, "nobody")
    again, _ = scram_challenge(one, "nobody")
    different, _ = scram_challenge(one, "nobody else")
    assert mock.salt == again.salt != different.salt
    assert scram_challenge(one, USER)[0].salt == real.salt
    assert (len(mock.salt), mock.iterations) == (len(real.salt), real.iterations)


@pytest.mark.parametrize("auth_type", ("scram", "md5", "plain", "trust"))
def test_unknown_database(pooler, auth_type):
    one = pooler(auth_type=auth_type)
    _, _, fields = refusal(one, USER, PASSWORD, "no_such_database")
    assert fields["S"] == "FATAL" and fields["C"] in WRONG_LOGIN + ("3D000",)
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_trust_needs_a_known_pair(pooler):
    one = pooler(auth_type="trust")
    _, _, fields = refusal(one, "nobody", None)
    assert fields["C"] in WRONG_LOGIN


def test_empty_password_never_works(pooler, postgres):
    """A user without a password is nobody, not somebody with the empty one."""
    one = pooler(auth_type="plain", users=[user_row(USER), {"name": "sam", "database": DATABASE}])
    for password in ("", None):
        with pytest.raises(wireclient.ServerError):
            one.connect("sam", password or "")
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.parametrize("auth_type", ("md5", "plain"))
def test_empty_password_message(pooler, auth_type):
    """A password message of only its zero byte is a wrong password like any other, for known and unknown users."""
    one = pooler(auth_type=auth_type)
    _, _, wrong = refusal(one, USER, "wrong")
    for user in (USER, "nobody") * 5:
        wire = one.wire()
        wire.send(startup_packet([("user", user), ("database", DATABASE)]))
        assert struct.unpack_from("!i", wire.read()[1])[0] == CODES[auth_type]
        wire.send(message(b"p", b"\0"))
        messages = wire.read_to_end()
        assert [kind for kind, _ in messages] == [b"E"]
        fields = wireclient.error_fields(messages[0][1])
        if harness.TARGET == "pgring":
            assert (fields["S"], fields["C"]) == ("FATAL", wrong["C"])
    assert one.connect().one("SELECT 1") == "1"


# ---- time ------------------------------------------------------------------------------------------------------------

LOGIN_TIMEOUT_S = 1.0


@pytest.mark.parametrize("sent", (
    b"", b"\0", b"\0\0\0", struct.pack("!i", 50), startup_packet([("user", USER), ("database", DATABASE)])[:-3],
    startup_packet([("user", USER), ("database", DATABASE)]),
    untyped_packet(wireclient.SSL_REQUEST)), ids=("nothing", "one_byte", "three_bytes", "only_the_length", "no_end", "no_password", "after_ssl_request"))
def test_login_timeout_counts_from_accept(pooler, sent):
    one = pooler(client_login_timeout=int(LOGIN_TIMEOUT_S * 1000))
    began = time.monotonic()
    wire = one.wire()
    if sent:
        wire.send(sent)
    if sent.endswith(untyped_packet(wireclient.SSL_REQUEST)):
        assert wire.read_bytes(1) == b"N"
    while True:
        try:
            kind, body = wire.read()
        except wireclient.Closed:
            break
        if kind == b"E":
            fields = wireclient.error_fields(body)
            assert fields["S"] == "FATAL"
            if harness.TARGET == "pgring":
                assert fields["C"] == "57P05" and "login timeout" in fields["M"]
    took = time.monotonic() - began
    assert LOGIN_TIMEOUT_S * 0.8 <= took <= harness.at_most(LOGIN_TIMEOUT_S + 1.5)


def test_login_timeout_is_not_reset_by_bytes(pooler):
    """A packet that comes byte by byte for ever is not a login."""
    one = pooler(client_login_timeout=int(LOGIN_TIMEOUT_S * 1000))
    wire = one.wire()
    packet = startup_packet([("user", USER), ("database", DATABASE), ("application_name", "x" * 1000)])  # 30 s
    began = time.monotonic()
    for byte in packet:
        if not wire.silent(0.03):
            break
        wire.send(bytes([byte]))
    took = time.monotonic() - began
    assert took <= LOGIN_TIMEOUT_S + 15, "still connected after %.1f s" % took
    await_close(wire)


def test_login_timeout_ends_with_the_login(pooler):
    one = pooler(client_login_timeout=3000)
    wire = one.connect()
    assert wire.silent(3.7)
    assert wire.one("SELECT 1") == "1"


# ---- startup packets that are none -----------------------------------------------------------------------------------

GOOD = startup_packet([("user", USER), ("database", DATABASE)])


def raw_startup(body, length=None, version=wireclient.PROTOCOL_3_0):
    return struct.pack("!ii", 8 + len(body) if length is None else length, version) + body


MALFORMED = {
    "length_0": struct.pack("!i", 0) + GOOD[4:],
    "length_3": struct.pack("!i", 3) + GOOD[4:],
    "length_7": struct.pack("!i", 7) + GOOD[4:],
    "length_negative": struct.pack("!i", -1) + GOOD[4:],
    "length_10001": raw_startup(b"user\0wire\0database\0wire\0x\0" + b"y" * 20000 + b"\0\0", 10001),
    "length_1_mb": raw_startup(b"user\0wire\0" + b"y" * 100, 1 << 20),
    "length_2_gb": raw_startup(b"user\0wire\0\0", (1 << 31) - 1),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls_client_hello": bytes.fromhex("16030100c8010000c403030a1b2c3d4e5f") + bytes(180),
    "random": bytes((i * 7919 + 13) % 251 for i in range(400)),
    "zeros": bytes(100),
    "only_version": raw_startup(b""),
    "no_terminator": raw_startup(b"user\0wire\0database\0wire\0"),
    "string_without_end": raw_startup(b"user\0wire\0database\0wire"),
    "name_without_value": raw_startup(b"user\0wire\0database\0"),
    "behind_the_terminator": raw_startup(b"user\0wire\0database\0wire\0\0rest"),
    "no_user": raw_startup(b"database\0wire\0\0"),
    "empty_user": raw_startup(b"user\0\0database\0wire\0\0"),
    "protocol_2": raw_startup(b"user\0wire\0database\0wire\0\0", version=2 << 16),
    "protocol_4": raw_startup(b"user\0wire\0database\0wire\0\0", version=4 << 16),
    "protocol_0": raw_startup(b"user\0wire\0database\0wire\0\0", version=0),
    "unknown_request": raw_startup(b"", version=1234 << 16 | 5681),
    "query_instead": query("SELECT 1"),
    "cancel_too_short": untyped_packet(wireclient.CANCEL_REQUEST, b"\0\0"),
    "cancel_too_long": untyped_packet(wireclient.CANCEL_REQUEST, b"k" * 5000),
}


@pytest.mark.parametrize("how", MALFORMED)
def test_malformed_startup(pooler, postgres, how):
    """The connection ends at once (not at the login timeout), with FATAL or without a word, and others are served."""
    one = pooler()
    wire = one.wire()
    wire.send(MALFORMED[how])
    fields = await_close(wire)
    if fields is not None:
        assert fields["C"][:2] in ("08", "28", "0A"), fields
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.parametrize("cut", (1, 3, 4, 5, 8, 9, 12, len(GOOD) - 1))
def test_client_leaves_during_startup(pooler, cut):
    one = pooler()
    for reset in (False, True):
        for _ in range(5):
            wire = one.wire()
            wire.send(GOOD[:cut])
            wire.drop(reset)
    assert one.connect().one("SELECT 1") == "1"


def test_client_leaves_during_authentication(pooler):
    one = pooler()
    for reset in (False, True):
        for _ in range(10):
            wire = one.wire()
            wire.send(GOOD)
            wire.drop(reset)
            scram_challenge(one, USER)
    assert one.connect().one("SELECT 1") == "1"


def test_startup_byte_by_byte(pooler):
    one = pooler()
    wire = one.wire()
    for byte in GOOD:
        wire.send(bytes([byte]))
        time.sleep(0.0003)
    wire.authenticate(USER, PASSWORD)
    assert wire.one("SELECT 1") == "1"


def test_startup_and_query_in_one_send(pooler):
    one = pooler(auth_type="trust")
    wire = one.wire()
    wire.send(GOOD + query("SELECT 'early'"))
    wire.authenticate(USER, None)
    assert wire.rows(wire.read_ready()) == [["early"]]


def test_startup_and_a_large_query_in_one_send(pooler):
    """It waits for a server, on which its settings are tried first."""
    one = pooler(auth_type="trust")
    wire = one.wire()
    wire.send(wireclient.startup_packet([("user", USER), ("database", DATABASE), ("application_name", "hasty")])
              + query("SELECT length('%s')" % ("x" * 1000000)))
    wire.authenticate(USER, None)
    assert wire.rows(wire.read_ready()) == [["1000000"]]


def test_startup_password_and_query_in_one_send(pooler):
    one = pooler(auth_type="plain")
    wire = one.wire()
    wire.send(GOOD + message(b"p", text(PASSWORD)) + query("SELECT 'early'"))
    messages = wire.read_ready(2)
    assert wire.rows(messages) == [["early"]]


# ---- messages that do not belong into a login ------------------------------------------------------------------------


def sasl_initial(first, mechanism="SCRAM-SHA-256", length=None):
    return message(b"p", text(mechanism) + struct.pack("!i", len(first) if length is None else length) + first)


NONCE = b"r=abcdefghijklmnopqrstuvwx"
GARBAGE_BEFORE_AUTH = {
    "query": query("SELECT 1"),
    "sync": wireclient.SYNC,
    "invalid_type": message(b"!", b"x"),
    "startup_again": GOOD,
    "length_2_gb": b"p" + struct.pack("!i", (1 << 31) - 1),
    "length_0": b"p" + struct.pack("!i", 0),
    "length_negative": b"p" + struct.pack("!i", -5) + b"x" * 100,
    "password_of_1_mb": b"p" + struct.pack("!i", 1 << 20) + b"x" * (1 << 18),
    "empty_message": message(b"p", b""),
    "no_mechanism_end": message(b"p", b"SCRAM-SHA-256"),
    "unknown_mechanism": sasl_initial(b"n,,n=," + NONCE, "SCRAM-SHA-1"),
    "plus_not_offered": sasl_initial(b"p=tls-server-end-point,,n=," + NONCE, "SCRAM-SHA-256-PLUS"),
    "response_too_short": sasl_initial(b"n,,n=," + NONCE, length=500),
    "response_trailing": sasl_initial(b"n,,n=," + NONCE, length=5),
    "response_length_negative": sasl_initial(b"n,,n=," + NONCE, length=-7),
    "first_empty": sasl_initial(b""),
    "first_no_nonce": sasl_initial(b"n,,n="),
    "first_no_gs2": sasl_initial(b"n=," + NONCE),
    "first_binding_asked": sasl_initial(b"p=tls-unique,,n=," + NONCE),
    "first_authzid": sasl_initial(b"n,a=other,n=," + NONCE),
    "first_extension": sasl_initial(b"n,,m=x,n=," + NONCE),
    "first_garbage": sasl_initial(b"\xff\xfe\0\0garbage"),
    "first_nonce_unprintable": sasl_initial(b"n,,n=,r=\x01\x02\x03"),
    "first_of_60_kb": sasl_initial(b"n,,n=,r=" + b"x" * 60000),
}


@pytest.mark.parametrize("how", GARBAGE_BEFORE_AUTH)
def test_garbage_before_authentication(pooler, how):
    one = pooler()
    wire = one.wire()
    wire.send(GOOD)
    assert wire.read()[0] == b"R"
    wire.send(GARBAGE_BEFORE_AUTH[how])
    fields = None
    for kind, body in wire.read_to_end():
        assert kind in (b"E",) or how == "first_of_60_kb" and kind == b"R", kind
        fields = wireclient.error_fields(body)
    if fields is not None:
        assert fields["S"] == "FATAL" and fields["C"][:2] in ("08", "28", "0A"), fields
    assert one.connect().one("SELECT 1") == "1"


def final_without(part):
    def change(final):
        return b",".join(p for p in final.split(b",") if not p.startswith(part))
    return change


SCRAM_FINALS = {
    "wrong_proof": lambda final: final[:-8] + b"AAAAAAA=",
    "no_proof": final_without(b"p="),
    "no_nonce": final_without(b"r="),
    "no_binding": final_without(b"c="),
    "other_binding": lambda final: final.replace(b"c=biws", b"c=eSws"),
    "other_nonce": lambda final: final.replace(b"r=", b"r=x"),
    "shorter_nonce": lambda final: final.replace(b",p=", b"", 1)[:20] + b",p=" + base64.b64encode(bytes(32)),
    "short_proof": lambda final: final.split(b",p=")[0] + b",p=" + base64.b64encode(bytes(16)),
    "long_proof": lambda final: final.split(b",p=")[0] + b",p=" + base64.b64encode(bytes(64)),
    "proof_not_base64": lambda final: final.split(b",p=")[0] + b",p=****",
    "trailing": lambda final: final + b",x=y",
    "empty": lambda final: b"",
    "garbage": lambda final: b"\0\xff" * 40,
}


@pytest.mark.parametrize("how", SCRAM_FINALS)
def test_wrong_scram_final(pooler, how):
    one = pooler()
    wire = one.wire()
    wire.send(GOOD)
    wire.read()
    scram = wireclient.Scram(PASSWORD)
    wire.send(sasl_initial(scram.first()))
    _, body = wire.read()
    wire.send(message(b"p", SCRAM_FINALS[how](scram.final(body[4:]))))
    messages = wire.read_to_end()
    assert all(kind == b"E" for kind, _ in messages), "it got in"
    for _, body in messages:
        fields = wireclient.error_fields(body)
        assert fields["S"] == "FATAL" and fields["C"] in WRONG_LOGIN + ("08P01",), fields
    assert one.connect().one("SELECT 1") == "1"


def test_scram_client_that_knows_of_channel_binding(pooler):
    """`y`: the client could, and believes that we cannot. Without TLS that is true."""
    one = pooler()
    wire = one.wire()
    wire.send(GOOD)
    wire.read()
    scram = wireclient.Scram(PASSWORD)
    wire.send(sasl_initial(b"y,," + scram.bare.encode()))
    _, body = wire.read()
    final = with_binding(scram, body[4:], b"y,,")
    wire.send(message(b"p", final))
    kind, body = wire.read()
    assert (kind, body[:4]) == (b"R", struct.pack("!i", 12))
    wire.read_ready()
    assert wire.one("SELECT 1") == "1"


def with_binding(scram, server_first, header):
    """The client-final-message for another GS2 header than "n,,"."""
    scram.final(server_first)
    nonce = dict(part.split("=", 1) for part in server_first.decode().split(","))["r"]
    salted = hashlib.pbkdf2_hmac("sha256", scram.password, scram.salt, scram.iterations)
    key = hmac.digest(salted, b"Client Key", "sha256")
    without = "c=%s,r=%s" % (base64.b64encode(header).decode(), nonce)
    everything = ",".join((scram.bare, server_first.decode(), without)).encode()
    proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.sha256(key).digest(), everything, "sha256")))
    return (without + ",p=" + base64.b64encode(proof).decode()).encode()


# ---- protocol versions and requests before the startup packet ------------------------------------------------------------


def test_ssl_and_gss_requests_are_declined(pooler):
    one = pooler()
    for requests in ((wireclient.SSL_REQUEST,), (wireclient.GSSENC_REQUEST,), (wireclient.GSSENC_REQUEST, wireclient.SSL_REQUEST),
                     (wireclient.SSL_REQUEST, wireclient.GSSENC_REQUEST)):
        wire = one.wire()
        for code in requests:
            wire.send(untyped_packet(code))
            assert wire.read_bytes(1) == b"N"
        wire.login(USER, PASSWORD, DATABASE)
        assert wire.one("SELECT 1") == "1"


def test_ssl_request_byte_by_byte(pooler):
    one = pooler()
    wire = one.wire()
    for byte in untyped_packet(wireclient.SSL_REQUEST):
        wire.send(bytes([byte]))
        time.sleep(0.002)
    assert wire.read_bytes(1) == b"N"
    wire.login(USER, PASSWORD, DATABASE)


def test_endless_ssl_requests(pooler):
    """One question is fine, a loop is not worth a connection: it may be answered or ended, but others are served."""
    one = pooler()
    wire = one.wire()
    for _ in range(50):
        wire.send(untyped_packet(wireclient.SSL_REQUEST))
    try:
        wire.read_bytes(50, 1)
    except wireclient.WireError:
        pass
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_protocol_3_2(pooler):
    one = pooler()
    wire = one.connect(version=wireclient.PROTOCOL_3_2)
    assert wire.negotiated is None
    assert len(wire.secret) == 32
    assert wire.one("SELECT 1") == "1"
    assert len(one.connect().secret) == 4


@pytest.mark.pgring_only
def test_protocol_3_2_cancel(pooler, postgres):
    one = pooler()
    wire = one.connect(version=wireclient.PROTOCOL_3_2)
    for secret in (wire.secret[:-1] + bytes([wire.secret[-1] ^ 1]), wire.secret[:4], wire.secret[:31], wire.secret + b"x"):
        wire.send(query("SELECT 'long_key', pg_sleep(60)"))
        postgres.await_active("long_key")
        assert wireclient.send_cancel(one.address, wire.pid, secret) == b""
        assert wire.silent(0.1), "cancelled by the wrong key"
        assert wire.cancel() == b""
        with pytest.raises(wireclient.ServerError) as caught:
            wire.rows(wire.read_ready())
        assert caught.value.sqlstate == "57014"


def negotiation(body):
    version, count = struct.unpack_from("!ii", body)
    names = body[8:].split(b"\0")[:-1]
    assert len(names) == count
    return version, names


@pytest.mark.pgring_only
def test_negotiation_of_the_version(pooler):
    one = pooler()
    wire = one.wire()
    messages = wire.login(USER, PASSWORD, DATABASE, version=3 << 16 | 9)
    assert messages[0][0] == b"v", "NegotiateProtocolVersion comes before authentication"
    assert negotiation(wire.negotiated) == (wireclient.PROTOCOL_3_2, [])
    assert len(wire.secret) == 32
    assert wire.one("SELECT 1") == "1"


@pytest.mark.parametrize("version", (wireclient.PROTOCOL_3_0, 3 << 16 | 9))
def test_negotiation_of_options(pooler, version):
    one = pooler()
    wire = one.wire()
    messages = wire.login(USER, PASSWORD, DATABASE, parameters=[("_pq_.one", "1"), ("application_name", "x"), ("_pq_.two", "")], version=version)
    assert messages[0][0] == b"v"
    answered, names = negotiation(wire.negotiated)
    assert answered <= version and names == [b"_pq_.one", b"_pq_.two"]
    assert wire.one("SELECT 1") == "1"


# ---- other addresses -------------------------------------------------------------------------------------------------


@pytest.mark.pgring_only
def test_unix_socket(pooler):
    directory = harness.Directory()
    try:
        one = pooler(unix_socket_dir=directory.path)
        path = "%s/.s.PGSQL.%d" % (directory.path, one.port)
        wire = one.connect(address=path)
        assert wire.one("SELECT 1") == "1"
        wire.send(query("SELECT pg_sleep(60)"))
        one.postgres.await_active("SELECT pg_sleep(60)")
        assert wireclient.send_cancel(path, wire.pid, wire.secret) == b""
        with pytest.raises(wireclient.ServerError) as caught:
            wire.rows(wire.read_ready())
        assert caught.value.sqlstate == "57014"
        one.process.signal(signal.SIGTERM)
        assert one.process.wait() == 0
        assert not os.path.exists(path), "the socket's file is left behind"
    finally:
        directory.remove()


@pytest.mark.pgring_only
def test_unix_socket_of_somebody_who_is_busy(pooler):
    """His backlog is full. Neither is he waited for, nor is his socket's file taken away."""
    directory = harness.Directory()
    one = pooler()
    path = "%s/.s.PGSQL.%d" % (directory.path, one.port)
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(path)
        busy.listen(0)
        waiting = []
        try:
            while True:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(path)
        except BlockingIOError:
            pass
        one.general.update(unix_socket_dir=directory.path, host="127.0.0.2")
        process = harness.Process(one.command(), one.directory.path + "/log2", one.env)
        try:
            assert process.wait(10) not in (0, None)
            assert "in use" in process.log()
            assert os.path.exists(path)
        finally:
            process.kill() if process.alive() else None
            for sock in waiting:
                sock.close()
            directory.remove()


@pytest.mark.pgring_only
@pytest.mark.skipif(not harness.has_ipv6(), reason="no ::1 on this machine")
def test_ipv6(pooler):
    one = pooler(host="::1,127.0.0.1")  # it opens them in this order, and the last is waited for
    assert one.connect(address=("::1", one.port)).one("SELECT 1") == "1"
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.pgring_only
def test_server_over_unix_socket(pooler, postgres):
    one = pooler(databases=[database_row(postgres, host=postgres.directory.path)])
    wire = one.connect()
    assert wire.one("SELECT inet_client_addr() IS NULL") == "t"
    assert wire.one("SELECT 1") == "1"


@pytest.mark.pgring_only
@pytest.mark.skipif(not harness.has_ipv6(), reason="no ::1 on this machine")
def test_server_over_ipv6(pooler, postgres):
    one = pooler(databases=[database_row(postgres, host="::1")])
    assert one.connect().one("SELECT host(inet_server_addr())") == "::1"


def test_server_by_name(pooler, postgres):
    one = pooler(databases=[database_row(postgres, host="localhost")])
    assert one.connect().one("SELECT 1") == "1"


# ---- startup parameters ----------------------------------------------------------------------------------------------

PARAMETERS = [("application_name", "wire test"), ("client_encoding", "LATIN1"), ("DateStyle", "SQL, DMY"), ("TimeZone", "Asia/Tokyo"),
              ("IntervalStyle", "iso_8601")]


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_parameter_status_as_postgres_reports_it(pooler, postgres, mode):
    one = pooler(pooler_mode=mode)
    with postgres.connect() as direct, postgres.connect(parameters=PARAMETERS) as direct_with:
        assert one.connect().parameters == direct.parameters
        assert one.connect(parameters=PARAMETERS).parameters == direct_with.parameters


@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_startup_parameters_reach_the_server(pooler, mode):
    one = pooler(pooler_mode=mode)
    wire = one.connect(parameters=PARAMETERS)
    assert wire.one("SHOW application_name") == "wire test"
    assert wire.one("SHOW client_encoding") == "LATIN1"
    assert wire.one("SHOW DateStyle") == "SQL, DMY"
    assert wire.one("SHOW TimeZone") == "Asia/Tokyo"
    assert wire.one("SHOW IntervalStyle") == "iso_8601"


@pytest.mark.pgring_only
@pytest.mark.parametrize("mode", ("transaction", "session"))
def test_startup_options_reach_the_server(pooler, mode):
    one = pooler(pooler_mode=mode)
    wire = one.connect(parameters=[("options", r"-c work_mem=77kB --statement_timeout=12345 -c application_name=a\ b -cextra_float_digits=2")])
    assert wire.one("SHOW work_mem") == "77kB"
    assert wire.one("SHOW statement_timeout") == "12345ms"
    assert wire.one("SHOW application_name") == "a b"
    assert wire.one("SHOW extra_float_digits") == "2"


def test_extra_float_digits_is_accepted(pooler):
    """Every JDBC and Go driver sends it."""
    wire = pooler().connect(parameters=[("extra_float_digits", "2")])
    assert wire.one("SELECT 1") == "1"


def test_startup_parameters_do_not_leak(pooler):
    """Two clients with different wishes take turns on one server."""
    one = pooler(default_pool_size=1)
    first = one.connect(parameters=[("application_name", "first"), ("DateStyle", "SQL, DMY")])
    second = one.connect(parameters=[("application_name", "second"), ("TimeZone", "Asia/Tokyo")])
    third = one.connect()
    for _ in range(3):
        assert first.ask("SHOW application_name") + first.ask("SHOW DateStyle") + first.ask("SHOW TimeZone") == [["first"], ["SQL, DMY"], ["UTC"]]
        assert second.ask("SHOW application_name") + second.ask("SHOW DateStyle") + second.ask("SHOW TimeZone") == [["second"], ["ISO, MDY"], ["Asia/Tokyo"]]
        assert third.ask("SHOW DateStyle") + third.ask("SHOW TimeZone") == [["ISO, MDY"], ["UTC"]]
        assert first.server_pid() == second.server_pid()


def test_startup_parameters_are_applied_without_answers_of_their_own(pooler):
    """What the pooler sends to bring a server into line must not show in the client's stream."""
    one = pooler(default_pool_size=1)
    first = one.connect(parameters=[("application_name", "first")])
    second = one.connect(parameters=[("application_name", "second")])
    for _ in range(3):
        for wire in (first, second):
            wire.send(query("SELECT 1"))
            assert [kind for kind, _ in wire.read_ready()] == [b"T", b"D", b"C", b"Z"]
            wire.send(wireclient.parse("SELECT 1") + wireclient.bind() + wireclient.execute() + wireclient.SYNC)
            assert [kind for kind, _ in wire.read_ready()] == [b"1", b"2", b"D", b"C", b"Z"]


@pytest.mark.parametrize("parameter", (("TimeZone", "Nowhere/Nothing"), ("client_encoding", "KLINGON"), ("DateStyle", "never")))
def test_invalid_startup_parameter(pooler, parameter):
    """The client hears of it at the latest with its first statement, and the next client is served."""
    one = pooler(default_pool_size=1)
    with pytest.raises(wireclient.WireError) as caught:
        one.connect(parameters=[parameter]).one("SELECT 1")
    assert isinstance(caught.value, wireclient.ServerError), caught.value
    assert caught.value.sqlstate[:2] in ("22", "42", "58", "28"), caught.value
    assert one.connect().one("SELECT 1") == "1"


@pytest.mark.parametrize("parameter", (("application_name", "'; DROP TABLE items; --"), ("application_name", "a\\'b\"c"), ("application_name", "x" * 3000)))
def test_startup_parameter_is_quoted(pooler, postgres, parameter):
    one = pooler(default_pool_size=1)
    with postgres.connect(parameters=[parameter]) as direct:
        expected = direct.one("SHOW application_name")
    assert one.connect(parameters=[("application_name", "other")]).one("SHOW application_name") == "other"
    assert one.connect(parameters=[parameter]).one("SHOW application_name") == expected
    assert int(postgres.value("SELECT count(*) FROM items")) >= 0
