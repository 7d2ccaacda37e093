"""A PostgreSQL client made of bytes: it sends what a driver never would and shows what comes back, message by message.

Source: PostgreSQL manual, "Frontend/Backend Protocol" (message formats, message flow), RFC 5802 and RFC 7677 (SCRAM-SHA-256).
"""
import base64
import hashlib
import hmac
import os
import selectors
import socket
import struct
import time

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102

PATIENCE_S = 40.0  # for whatever must happen: a machine may be slow, and have other things to do
DEFAULT_TIMEOUT_S = PATIENCE_S
RECV_BYTES = 1 << 18

# ---- messages of the client ----------------------------------------------------------------------------------------


def message(kind, body=b""):
    """One typed message: kind is one byte, the length is counted for you."""
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value):
    """A string as the protocol carries it: bytes and a zero byte."""
    return (value.encode() if isinstance(value, str) else value) + b"\0"


def query(sql):
    return message(b"Q", text(sql))


def parse(sql, name="", types=()):
    return message(b"P", text(name) + text(sql) + struct.pack("!h", len(types)) + b"".join(struct.pack("!I", t) for t in types))


def bind(values=(), portal="", name="", formats=(), result_formats=()):
    """values: str, bytes or None (NULL)."""
    body = text(portal) + text(name) + struct.pack("!h", len(formats)) + b"".join(struct.pack("!h", f) for f in formats)
    body += struct.pack("!h", len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            raw = value.encode() if isinstance(value, str) else value
            body += struct.pack("!i", len(raw)) + raw
    body += struct.pack("!h", len(result_formats)) + b"".join(struct.pack("!h", f) for f in result_formats)
    return message(b"B", body)


def describe_statement(name=""):
    return message(b"D", b"S" + text(name))


def describe_portal(name=""):
    return message(b"D", b"P" + text(name))


def execute(portal="", rows=0):
    return message(b"E", text(portal) + struct.pack("!i", rows))


def close_statement(name=""):
    return message(b"C", b"S" + text(name))


def close_portal(name=""):
    return message(b"C", b"P" + text(name))


def copy_data(data):
    return message(b"d", data.encode() if isinstance(data, str) else data)


def copy_fail(reason):
    return message(b"f", text(reason))


def function_call(oid, args, arg_formats=(1,), result_format=1):
    body = struct.pack("!Ih", oid, len(arg_formats)) + b"".join(struct.pack("!h", f) for f in arg_formats)
    body += struct.pack("!h", len(args))
    for arg in args:
        body += struct.pack("!i", -1) if arg is None else struct.pack("!i", len(arg)) + arg
    return message(b"F", body + struct.pack("!h", result_format))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")
COPY_DONE = message(b"c")


def startup_packet(parameters, version=PROTOCOL_3_0):
    """parameters: list of (name, value) in the order in which they shall stand."""
    body = struct.pack("!i", version) + b"".join(text(k) + text(v) for k, v in parameters) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def untyped_packet(code, rest=b""):
    return struct.pack("!ii", 8 + len(rest), code) + rest


# ---- messages of the server ----------------------------------------------------------------------------------------


def error_fields(body):
    """The fields of an ErrorResponse or NoticeResponse: {"S": "ERROR", "C": "42601", ...}."""
    fields = {}
    for part in body.split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode("utf-8", "replace")
    return fields


def data_row(body):
    """The values of a DataRow as bytes or None."""
    count, at, values = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        if size < 0:
            values.append(None)
        else:
            values.append(body[at:at + size])
            at += size
    return values


def row_description(body):
    """List of (name, table, attribute, type, size, modifier, format)."""
    count, at, columns = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        columns.append((body[at:end].decode("utf-8", "replace"),) + struct.unpack_from("!IhIhih", body, end + 1))
        at = end + 19
    return columns


def parameter_status(body):
    name, value = body.split(b"\0")[:2]
    return name.decode(), value.decode()


def short(raw, limit=60):
    if len(raw) <= limit:
        return repr(raw)[1:]
    return "%d bytes sha1 %s" % (len(raw), hashlib.sha1(raw).hexdigest()[:12])


def render(kind, body):
    """One message for human eyes. Different messages may look alike only if they are very long and have the same hash."""
    letter = kind.decode("latin-1")
    if letter in "EN":
        return letter + " " + " ".join("%s=%r" % (k, v) for k, v in error_fields(body).items())
    if letter == "T":
        return "T " + ", ".join("%s table %d.%d type %d size %d mod %d format %d" % c for c in row_description(body))
    if letter == "D":
        return "D " + ", ".join("NULL" if v is None else short(v) for v in data_row(body))
    if letter == "S":
        return "S %s=%s" % parameter_status(body)
    return letter + " " + short(body)


class Normaliser:
    """Removes from an answer what legitimately differs between two runs of one dialogue: process numbers, cancel keys and the
    numbers of tables that the dialogue itself created (the tables of the fixture keep theirs)."""

    def __init__(self, known_tables=()):
        self.known = set(known_tables)
        self.seen = {}

    def __call__(self, kind, body):
        if kind == b"K":
            return kind, b"key"
        if kind == b"A":
            return kind, b"pid" + body[4:]
        if kind == b"T":
            return kind, self._tables(body)
        return kind, body

    def _tables(self, body):
        out, at = bytearray(body), 2
        for _ in range(struct.unpack_from("!h", body)[0]):
            end = body.index(b"\0", at)
            table = struct.unpack_from("!I", body, end + 1)[0]
            if table >= 16384 and table not in self.known:
                struct.pack_into("!I", out, end + 1, self.seen.setdefault(table, len(self.seen) + 1))
            at = end + 19
        return bytes(out)


# ---- errors --------------------------------------------------------------------------------------------------------


class WireError(Exception):
    """The dialogue went another way than the test said."""


class Closed(WireError):
    """The peer closed (or reset) the connection."""


class TimedOut(WireError):
    """Nothing came in time."""


class ServerError(WireError):
    """An ErrorResponse, raised by the helpers that expect success."""

    def __init__(self, fields):
        super().__init__("%s %s: %s" % (fields.get("S"), fields.get("C"), fields.get("M")))
        self.fields = fields
        self.sqlstate = fields.get("C")
        self.text = fields.get("M", "")


class Ended(ServerError, Closed):
    """The connection closed after an ErrorResponse where more was expected."""


# ---- the connection ------------------------------------------------------------------------------------------------


class Wire:
    """One connection. Every wait has a deadline; sending never deadlocks against a peer that sends too."""

    def __init__(self, address, timeout=DEFAULT_TIMEOUT_S, sock=None):
        """address: (host, port) or the path of a unix socket. sock: a connection to it that is there already."""
        self.timeout = timeout
        self.address = address
        if sock is not None:
            self.sock = sock
        elif isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.buf = bytearray()
        self.at = 0
        self.eof = False
        self.reset = False
        self.pid = None
        self.secret = None
        self.parameters = {}
        self.negotiated = None

    # -- bytes

    def send(self, data):
        """Sends everything, reading meanwhile what comes in. A peer that has closed is noticed by the next read."""
        view = memoryview(data)
        deadline = time.monotonic() + self.timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while view:
                if not selector.select(max(0, deadline - time.monotonic())):
                    raise TimedOut("%d bytes could not be sent" % len(view))
                if not self.eof:
                    self._receive()
                try:
                    view = view[self.sock.send(view):]
                    deadline = time.monotonic() + self.timeout
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    return  # what it said before it closed is still to be read

    def send_blindly(self, data):
        """One send, nothing read: for clients that do not read. Returns how many bytes the kernel took."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def _receive(self):
        """Takes what is there. True if bytes came."""
        try:
            data = self.sock.recv(RECV_BYTES)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.eof = self.reset = True
            return False
        if not data:
            self.eof = True
            return False
        if self.at > RECV_BYTES:
            del self.buf[:self.at]
            self.at = 0
        self.buf += data
        return True

    def _await(self, deadline):
        """Waits for at least one more byte."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ)
            while True:
                if self.eof:
                    raise Closed("the peer %s the connection" % ("reset" if self.reset else "closed"))
                if self._receive():
                    return
                if not self.eof and not selector.select(max(0, deadline - time.monotonic())):
                    raise TimedOut("nothing came in time; %d bytes of an unfinished message" % (len(self.buf) - self.at))

    def read_bytes(self, count, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self.buf) - self.at < count:
            self._await(deadline)
        data = bytes(self.buf[self.at:self.at + count])
        self.at += count
        return data

    # -- messages

    def read(self, timeout=None):
        """The next message as (kind, body)."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            have = len(self.buf) - self.at
            if have >= 5:
                length = struct.unpack_from("!i", self.buf, self.at + 1)[0]
                if length < 4:
                    raise WireError("message %r of length %d" % (bytes(self.buf[self.at:self.at + 1]), length))
                if have > length:
                    kind = bytes(self.buf[self.at:self.at + 1])
                    body = bytes(self.buf[self.at + 5:self.at + 1 + length])
                    self.at += 1 + length
                    return kind, body
            self._await(deadline)

    def read_until(self, kinds, count=1, timeout=None):
        """Messages up to and with the count-th one whose kind is in `kinds` (b"Z", b"GHW", ...)."""
        messages = []
        while count > 0:
            try:
                messages.append(self.read(timeout))
            except Closed:
                for kind, body in messages[::-1]:
                    if kind == b"E":
                        raise Ended(error_fields(body)) from None
                raise
            if messages[-1][0] in kinds:
                count -= 1
        return messages

    def read_ready(self, count=1, timeout=None):
        return self.read_until(b"Z", count, timeout)

    def read_to_end(self, timeout=None):
        """All messages until the peer closes. Trailing bytes that are no whole message are an error."""
        messages = []
        while True:
            try:
                messages.append(self.read(timeout))
            except Closed:
                if len(self.buf) > self.at:
                    raise WireError("closed inside a message: %r" % bytes(self.buf[self.at:self.at + 80]))
                return messages

    def silent(self, seconds):
        """True if nothing at all comes for that long (a close counts as something)."""
        if len(self.buf) > self.at or self.eof:
            return False
        try:
            self._await(time.monotonic() + seconds)
        except TimedOut:
            return True
        except Closed:
            pass
        return False

    # -- conveniences

    def ask(self, sql, timeout=None):
        """A simple query: the rows as lists of str or None. Raises ServerError at the first ErrorResponse, after ReadyForQuery."""
        self.send(query(sql))
        return self.rows(self.read_ready(1, timeout))

    def ask_extended(self, sql, values=(), timeout=None):
        self.send(parse(sql) + bind(values) + describe_portal() + execute() + SYNC)
        return self.rows(self.read_ready(1, timeout))

    @staticmethod
    def rows(messages):
        rows = []
        for kind, body in messages:
            if kind == b"E":
                raise ServerError(error_fields(body))
            if kind == b"D":
                rows.append([None if v is None else v.decode() for v in data_row(body)])
        return rows

    def one(self, sql, timeout=None):
        return self.ask(sql, timeout)[0][0]

    def server_pid(self):
        """The process number of the real PostgreSQL backend behind this query."""
        return int(self.one("SELECT pg_backend_pid()"))

    def close(self):
        """Says goodbye and closes."""
        try:
            self.sock.send(TERMINATE)
        except OSError:
            pass
        self.sock.close()

    def drop(self, reset=False):
        """Vanishes without a goodbye; with reset=True the kernel sends RST instead of FIN."""
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.sock.fileno() >= 0:
            self.close()

    # -- login

    def login(self, user, password=None, database=None, parameters=(), version=PROTOCOL_3_0, timeout=None):
        """Startup and authentication by whatever the server asks for. Returns all messages up to ReadyForQuery.
        Raises ServerError when the server refuses."""
        pairs = [("user", user)]
        if database is not None:
            pairs.append(("database", database))
        self.send(startup_packet(pairs + list(parameters), version))
        return self.authenticate(user, password, timeout)

    def authenticate(self, user, password, timeout=None):
        messages, scram = [], None
        while True:
            kind, body = self.read(timeout)
            messages.append((kind, body))
            if kind == b"E":
                raise ServerError(error_fields(body))
            if kind == b"R":
                scram = self._challenge(user, password, struct.unpack_from("!i", body)[0], body[4:], scram)
            elif kind == b"K":
                self.pid, self.secret = struct.unpack_from("!i", body)[0], body[4:]
            elif kind == b"S":
                name, value = parameter_status(body)
                self.parameters[name] = value
            elif kind == b"v":
                self.negotiated = body
            elif kind == b"Z":
                return messages

    def _challenge(self, user, password, code, rest, scram):
        secret = (password or "").encode()
        if code == 3:
            self.send(message(b"p", secret + b"\0"))
        elif code == 5:
            inner = hashlib.md5(secret + user.encode()).hexdigest().encode()
            self.send(message(b"p", b"md5" + hashlib.md5(inner + rest).hexdigest().encode() + b"\0"))
        elif code == 10:
            scram = Scram(password or "")
            if b"SCRAM-SHA-256" not in rest.split(b"\0"):
                raise WireError("no SCRAM-SHA-256 among %r" % rest)
            first = scram.first()
            self.send(message(b"p", text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
        elif code == 11:
            self.send(message(b"p", scram.final(rest)))
        elif code == 12:
            scram.verify(rest)
        elif code != 0:
            raise WireError("authentication request %d is not known" % code)
        return scram

    def cancel(self):
        """Asks, on a connection of its own, to cancel what this one does. Returns what came back on it (b"" is right)."""
        return send_cancel(self.address, self.pid, self.secret, self.timeout)


# PostgreSQL signals the backend and then its process group: of a pipeline, the second signal may meet the next query.
OUTLIVES_CANCEL = "DO $$ BEGIN PERFORM pg_sleep(0.3); EXCEPTION WHEN query_canceled THEN NULL; END $$"


def send_cancel(address, pid, secret, timeout=DEFAULT_TIMEOUT_S):
    with Wire(address, timeout) as other:
        other.send(untyped_packet(CANCEL_REQUEST, struct.pack("!i", pid) + secret))
        try:
            return other.read_bytes(1)
        except Closed:
            return b""


def connect(address, user, password=None, database=None, **options):
    """A logged-in connection."""
    timeout = options.pop("timeout", DEFAULT_TIMEOUT_S)
    wire = Wire(address, timeout)
    try:
        wire.login(user, password, database, **options)
    except BaseException:
        wire.drop()
        raise
    return wire


# ---- SCRAM and secrets ---------------------------------------------------------------------------------------------


class Scram:
    """The client's side of SCRAM-SHA-256 without channel binding. It verifies the server's signature."""

    def __init__(self, password, nonce=None):
        self.password = password.encode()
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()
        self.bare = "n=,r=" + self.nonce
        self.signature = None
        self.iterations = None
        self.salt = None

    def first(self):
        return ("n,," + self.bare).encode()

    def final(self, server_first):
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        if not fields["r"].startswith(self.nonce) or fields["r"] == self.nonce:
            raise WireError("the server's nonce does not extend ours")
        self.salt, self.iterations = base64.b64decode(fields["s"]), int(fields["i"])
        salted = hashlib.pbkdf2_hmac("sha256", self.password, self.salt, self.iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = "c=biws,r=" + fields["r"]
        message_all = ",".join((self.bare, server_first.decode(), without_proof)).encode()
        proof = bytes(a ^ b for a, b in zip(client_key, hmac.digest(hashlib.sha256(client_key).digest(), message_all, "sha256")))
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message_all, "sha256")
        return (without_proof + ",p=" + base64.b64encode(proof).decode()).encode()

    def verify(self, server_final):
        if server_final != b"v=" + base64.b64encode(self.signature):
            raise WireError("the server's signature is wrong: %r" % server_final)


def scram_secret(password, iterations=4096, salt=None):
    """A verifier as PostgreSQL stores it."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (iterations, *(base64.b64encode(x).decode() for x in (salt, stored, server)))


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()
