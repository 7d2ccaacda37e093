"""What breaks the protocol: clients' streams that are cut, mixed up and malformed, a server in between that does the like, and clients
that behave and know every byte of what they are to get. A seed makes a whole life of a chaotic client.
"""
import random
import re
import socket
import struct
import threading
import time

import differential
import harness
import randomscripts
import wireclient
from harness import DATABASE, PASSWORD, USER
from wireclient import (COPY_DONE, FLUSH, SYNC, TERMINATE, bind, close_portal, close_statement, copy_data, copy_fail, describe_portal, describe_statement,
                        execute, function_call, message, parse, query, text)

# ---- streams of clients: lists of messages -----------------------------------------------------------------------------------

ROWS = "SELECT g, repeat('c', 20) FROM generate_series(1, %d) g"


def prepare(postgres):
    """What the streams work on."""
    for fixture in (differential.FIXTURE, randomscripts.FIXTURE, randomscripts.BEFORE_EACH):
        postgres.sql(fixture)
    postgres.sql("CREATE TABLE IF NOT EXISTS public.chaos_sink (a int); GRANT ALL ON public.chaos_sink TO PUBLIC")


def group(rng, sizes=(10, 2000, 70000, 300000)):
    """Messages that belong together, by the extended protocol for the most part."""
    big = rng.choice(sizes + (1 << 20,) * (max(sizes) > 100000 and rng.random() < 0.2))
    return list(rng.choice((
        (parse(ROWS % 30, "c"), bind(name="c", portal="p"), execute("p", 7), execute("p", 7), SYNC),
        (parse(ROWS % 3), bind(), describe_portal(), execute(), SYNC),
        (query("BEGIN"), parse(ROWS % 9, "c"), bind(name="c", portal="p"), execute("p", 2), SYNC, execute("p", 2), close_portal("p"), SYNC, query("COMMIT")),
        (parse("SELECT $1::text, $2::int", "d", types=(25, 23)), describe_statement("d"), bind(("x" * big, "4"), name="d"), execute(), SYNC),
        (bind(("x", "4"), name="d"), execute(), bind(("y", None), name="d", portal="q"), execute("q"), FLUSH, SYNC),
        (parse("SELECT length($1)"), bind((b"y" * big,)), execute(), SYNC),
        (query("COPY (%s) TO STDOUT" % (ROWS % 2000)),),
        (query("COPY (%s) TO STDOUT (FORMAT binary)" % (ROWS % 500)),),
        (query("COPY public.chaos_sink FROM STDIN"), copy_data("1\n2\n"), copy_data(b"3\n" * (big // 2)), COPY_DONE),
        (query("COPY public.chaos_sink FROM STDIN (FORMAT binary)"), copy_data(b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\1\0\0\0\4\0\0\0\7" + b"\xff\xff"), COPY_DONE),
        (parse("COPY public.chaos_sink FROM STDIN"), bind(), execute(), copy_data("4\n"), COPY_DONE, SYNC),
        (parse("COPY public.chaos_sink FROM STDIN"), bind(), execute(), SYNC, copy_data("4\n"), copy_fail("no"), SYNC),
        (parse("COPY (SELECT 1) TO STDOUT"), bind(), execute(), FLUSH, SYNC),
        (function_call(177, [b"\0\0\0\5", b"\0\0\0\2"]),),
        (function_call(1317, [b"z" * big]),),
        (query("SELECT pg_sleep(0.02)"), query("SELECT 1/0; SELECT 2"), query(ROWS % 3000)),
        (parse("SELECT 1/$1::int", "e"), bind(("0",), name="e"), execute(), bind(("1",), name="e"), execute(), SYNC, close_statement("e"), SYNC),
        (query("/*" + "-" * big + "*/ SELECT 1"),),
        (parse("SELECT 1 /*" + "-" * big + "*/", "f"), bind(name="f"), execute(), close_statement("f"), SYNC),
        (query("BEGIN"), query("INSERT INTO public.chaos_sink VALUES (5)"), query("ROLLBACK")),
        (query("BEGIN"), query("INSERT INTO public.chaos_sink VALUES (6)")),
        (query("PREPARE s AS SELECT $1::int"), query("EXECUTE s(1)"), query("DEALLOCATE s")),
        (query("SET my.chaos = 'c'; SET work_mem = '77kB'"), query("CREATE TEMP TABLE honest (a int)"), query("LISTEN chaos"), query("NOTIFY chaos, 'x'")),
        (parse("SET search_path = aside"), bind(), execute(), SYNC), (SYNC, SYNC, FLUSH, SYNC), (query(""), query(";")),
    )))


def valid(rng):
    if rng.random() < 0.5:
        script = randomscripts.generated(rng.randrange(1 << 30))
        return [randomscripts.compiled(source) for step in script.steps for source in step]
    return [one for _ in range(rng.randint(1, 5)) for one in group(rng)]


LENGTHS = (0, 1, 3, 4, 5, 8, 100, 9999, 10001, 65536, 1 << 20, 0x3fffffff, 0x40000000, (1 << 31) - 1, -1, -(1 << 31))
ODD = (b"\0", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", "ä".encode("latin-1"), "日本".encode("euc-jp"), "日本".encode("shift-jis"), b"\x80" * 9, b"%s%n", b"'", b'"')


def strange(rng):
    """A message that has no place where it stands."""
    return rng.choice((
        copy_data("9\n"), COPY_DONE, copy_fail("why"), TERMINATE, SYNC, FLUSH, message(b"H", b"x"), message(b"S", b"x"), message(b"p", b"secret\0"),
        message(b"p"), message(b"X", b"xyz"), wireclient.startup_packet([("user", USER), ("database", DATABASE)]), wireclient.untyped_packet(wireclient.SSL_REQUEST),
        wireclient.untyped_packet(wireclient.GSSENC_REQUEST), wireclient.untyped_packet(wireclient.CANCEL_REQUEST, struct.pack("!ii", 1, 2)),
        message(b"Z", b"I"), message(b"D", b""), message(b"D", b"X\0"), message(b"C", b"S"), message(b"C", b"Q\0"), message(b"E", b"\0"), message(b"E", b"\0\0\0"),
        message(b"B", b"\0\0"),
        message(b"B", b"\0\0\xff\xff\0\0\0\0"), message(b"P", b"\0"), message(b"P", b"\0SELECT 1\0\0\5"), message(b"Q", b""), message(b"Q", b"SELECT 1"),
        message(b"Q", b"SELECT 1\0SELECT 2\0"), message(b"F", bytes(4)), message(b"F", bytes(2)), message(b"c", b"x"), message(b"f", b""), message(b"f", b"no end"),
        message(b"d", b""), bytes(rng.randrange(256) for _ in range(rng.randint(1, 40))), bytes([rng.randrange(256)]) + struct.pack("!i", 4), b"\0" * rng.randint(1, 9),
        bind(("1", "2", "3")), bind(formats=(1, 0, 7)), bind(result_formats=(1, 1, 1, 1)),
        bind(result_formats=(9,)), execute("nobody"), execute(rows=-1),
        parse("SELECT $70000"), parse("SELECT $1", types=(0,) * 9), parse("SELECT 1", "n" * 5000), describe_portal("n" * 5000),
        query("SELECT '\udcff'".encode("utf-8", "surrogateescape")),
        execute(), bind(), describe_portal(), describe_statement("nobody"), close_statement(), close_portal("p"), query("COPY public.chaos_sink FROM STDIN"),
    ))


def one_mutation(rng, messages):
    """Changes the list in place."""
    at = rng.randrange(len(messages)) if messages else 0
    one = messages[at] if messages else b""
    kind = rng.randrange(17)
    if not messages or kind < 3:
        messages.insert(at, strange(rng))
    elif kind == 3:
        messages.insert(rng.randrange(len(messages) + 1), one)
    elif kind == 4:
        del messages[at]
    elif kind == 5:
        other = rng.randrange(len(messages))
        messages[at], messages[other] = messages[other], one
    elif kind == 6:
        messages.insert(rng.randrange(len(messages)), messages.pop(at))
    elif kind == 7:  # what follows is eaten
        messages[at] = one[:rng.randrange(len(one))] if one else one
    elif kind == 8 and len(one) >= 5:  # a shorter body, and a length that tells so
        messages[at] = message(one[:1], one[5:5 + rng.randrange(len(one) - 4)])
    elif kind == 9 and len(one) >= 5:
        length = rng.choice(LENGTHS + (len(one) - 1 + rng.randint(-4, 4),) * 10)
        messages[at] = one[:1] + struct.pack("!i", length) + one[5:]
    elif kind == 10 and len(one) >= 5:
        messages[at] = bytes([rng.choice(b"PBDECSHQFXdcfpRZTKvW1\0\x01\x80\xff")]) + one[1:]
    elif kind == 11 and len(one) > 5:
        body = one[5:]
        where = rng.randrange(min(len(body), 300))
        messages[at] = message(one[:1], body[:where] + rng.choice(ODD) + body[where:])
    elif kind == 12 and one.endswith(b"\0") and len(one) > 5:
        messages[at] = message(one[:1], one[5:-1])
    elif kind in (13, 14) and len(one) > 7:  # counts, formats and lengths of parameters
        body = bytearray(one[5:])
        where = rng.randrange(max(1, min(len(body) - 2, 200)))
        body[where:where + 2] = struct.pack("!h", rng.choice((0, 1, 2, 3, 255, 32767, -1, -32768)))
        messages[at] = message(one[:1], bytes(body))
    elif kind == 15 and len(one) > 5:
        messages[at] = message(one[:1], one[5:] + rng.choice((b"\0", b"more", bytes(100), b"\xff\xff\xff\xff")))
    elif kind == 16 and one:
        changed = bytearray(one)
        changed[rng.randrange(min(len(one), 200))] ^= 1 << rng.randrange(8)
        messages[at] = bytes(changed)


def mutated(rng, messages):
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        one_mutation(rng, messages)
    return messages


# ---- a life -------------------------------------------------------------------------------------------------------------------


class Life:
    """Of a chaotic client: what it will send and do is known from the seed."""

    def __init__(self, seed):
        self.seed, self.rng = seed, random.Random("chaos %d" % seed)
        self.reads = self.rng.choice(("all", "all", "slowly", "never"))
        self.style = self.rng.choice(("whole", "messages", "pieces", "bytes"))
        self.end = self.rng.choice(("terminate", "fin", "reset", "half", "linger"))
        self.cancels = self.rng.choice((None, None, "right", "wrong", "both"))
        self.messages = mutated(self.rng, valid(self.rng))
        self.data = b"".join(self.messages)
        self.cut = self.rng.randrange(len(self.data) + 1) if self.rng.random() < 0.3 else len(self.data)
        self.stall = self.rng.choice((0, 0, 0.01, 0.2))

    def __str__(self):
        return "seed %d: reads %s, sends %s, ends %s, cancels %s, cut at %d of %d, then for %g s nothing: %s" % (
            self.seed, self.reads, self.style, self.end, self.cancels, self.cut, len(self.data), self.stall,
            " ".join(repr(one[:60]) for one in self.messages)[:3000])

    def chunks(self):
        data, rng = self.data[:self.cut], self.rng
        if self.style == "whole":
            return [data]
        if self.style == "bytes":
            few = data[:200]
            return [few[i:i + 1] for i in range(len(few))] + [data[200:]]
        if self.style == "messages":
            left, out = self.cut, []
            for one in self.messages:
                out.append(one[:left])
                left -= len(out[-1])
            return out
        out = []
        while data:
            n = rng.choice((1, 4, 5, 6, 100, 4096, 65536, 1 << 20))
            out.append(data[:n])
            data = data[n:]
        return out

    def cancel(self, wire, which):
        key = wire.secret if which == "right" else bytes([wire.secret[0] ^ 1]) + wire.secret[1:]
        try:
            wireclient.send_cancel(wire.address, wire.pid, key, 2)
        except (wireclient.WireError, OSError):
            pass

    def send(self, wire, data, deadline):
        """True if it could be sent."""
        while data and time.monotonic() < deadline:
            try:
                data = data[wire.sock.send(data):]
            except BlockingIOError:
                if self.reads == "never":
                    return False
                wire.silent(0.01)
                wire.buf.clear()
                wire.at = 0
            except OSError:
                return False
            if self.reads == "all":
                try:
                    if not wire.eof:
                        wire._receive()
                except OSError:
                    return False
                wire.buf.clear()
                wire.at = 0
        return not data

    def login(self, address, database):
        return wireclient.connect(address, USER, PASSWORD, database, timeout=30)

    def live(self, address, database=DATABASE):
        deadline = time.monotonic() + 1.5
        with self.login(address, database) as wire:
            for chunk in self.chunks():
                if not self.send(wire, chunk, deadline):
                    break
                if self.cancels and self.rng.random() < 0.1:
                    for which in ("right", "wrong") if self.cancels == "both" else (self.cancels,):
                        self.cancel(wire, which)
            if self.reads == "slowly":
                for _ in range(5):
                    try:
                        wire.sock.recv(3)
                    except OSError:
                        pass
                    time.sleep(0.002)
            elif self.reads == "all":
                for _ in range(20):  # what it gets is not judged here
                    if wire.silent(0.01) or wire.eof:
                        break
                    wire.buf.clear()
                    wire.at = 0
            time.sleep(self.stall)
            if self.cancels and not wire.eof:
                self.cancel(wire, "right" if self.cancels == "right" else "wrong")
            if self.end == "half":
                try:
                    wire.sock.shutdown(socket.SHUT_WR)
                    wire.silent(0.05)
                except OSError:
                    pass
            if self.end == "linger":
                wire.silent(0.1)
            if self.end != "terminate":
                wire.drop(reset=self.end == "reset")


class Gate:
    """A client that never gets in: its startup and login are malformed, cut and stalled."""

    def __init__(self, seed):
        self.seed, self.rng = seed, random.Random("gate %d" % seed)
        rng = self.rng
        pairs = [("user", USER), ("database", DATABASE), ("application_name", "gate"), ("options", "-c work_mem=1MB"), ("_pq_.x", "1")]
        rng.shuffle(pairs)
        packets = [wireclient.startup_packet(pairs[:rng.randint(0, 5)], rng.choice((wireclient.PROTOCOL_3_0, wireclient.PROTOCOL_3_2, 2 << 16, 3 << 16 | 9, 7)))]
        packets.append(message(b"p", text("SCRAM-SHA-256") + struct.pack("!i", 9) + b"n,,n=,r=x"))
        packets += [message(b"p", b"c=biws,r=x,p=eA=="), query("SELECT 1")]
        for _ in range(rng.randint(0, 2)):
            packets.insert(0, wireclient.untyped_packet(rng.choice((wireclient.SSL_REQUEST, wireclient.GSSENC_REQUEST)), b"x" * rng.choice((0, 0, 1))))
        for _ in range(rng.randint(0, 2)):
            one_mutation(rng, packets)
        data = bytearray(b"".join(packets))
        for _ in range(rng.choice((0, 0, 1, 3)) if data else 0):
            data[rng.randrange(min(len(data), 60))] = rng.randrange(256)
        self.data = bytes(data[:rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data)

    def __str__(self):
        return "gate %d: %r" % (self.seed, self.data[:300])

    def live(self, address, database=DATABASE):
        with wireclient.Wire(address, 2) as wire:
            step = self.rng.choice((1, 7, 1 << 20))
            for at in range(0, min(len(self.data), 500), step):
                wire.sock.send(self.data[at:at + step])
            wire.silent(self.rng.choice((0, 0.01, 0.1)))
            wire.drop(self.rng.random() < 0.5)


SHOWS = ("POOLS", "CLIENTS", "SERVERS", "STATS", "CONFIG", "MEM", "LISTS", "USERS", "DATABASES", "VERSION", "nothing", "POOLS extra", "")


class Operator(Life):
    """A chaotic client of the console."""

    def __init__(self, seed):
        super().__init__(seed)
        rng, messages = self.rng, []
        for _ in range(rng.randint(1, 6)):
            show = "SHOW " + rng.choice(SHOWS)
            messages += rng.choice((
                [query(show)], [parse(show), bind(), describe_portal(), execute(), SYNC],
                [parse(show, "s"), describe_statement("s"), SYNC, bind(name="s"), execute(), SYNC],
                [bind(name="s", portal="p", result_formats=(rng.choice((0, 1, 2)),)), execute("p", rng.choice((0, 1, 2))), execute("p"), close_portal("p"), SYNC],
                [close_statement("s"), SYNC], [query(show + ";" + show)], [query("SHOW " + "x" * rng.choice((100, 70000)))], [query("WHAT"), FLUSH], [SYNC, FLUSH],
                [parse(show + " $1", types=(25,) * rng.choice((1, 30000))), bind(("x",)), execute(), SYNC], [query("SET x = 1")], group(rng)))
        self.messages = mutated(rng, messages)
        self.data = b"".join(self.messages)
        self.cut = rng.randrange(len(self.data) + 1) if rng.random() < 0.3 else len(self.data)

    def login(self, address, database):
        return wireclient.connect(address, harness.ADMIN["user"], harness.ADMIN["password"], harness.ADMIN["name"], timeout=30)


# ---- a server in between ------------------------------------------------------------------------------------------------------

FAULT = re.compile(rb"/\* break (\w+) (\d+) \*/")
NOTICE = message(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mchaos\0\0")
ERROR = message(b"E", b"SERROR\0VERROR\0CXX000\0Mchaos\0\0")
FATAL = message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mchaos\0\0")

# name -> (what is sent in place of the message, whether the connection is closed behind it)
FAULTS = {
    "close": lambda rng, one: (b"", "fin"), "reset": lambda rng, one: (b"", "rst"),
    "half": lambda rng, one: (one[:rng.randrange(len(one))], "fin"), "half_reset": lambda rng, one: (one[:rng.randrange(len(one))], "rst"),
    "fatal": lambda rng, one: (FATAL, "fin"), "fatal_and_on": lambda rng, one: (FATAL + one, None), "half_fatal": lambda rng, one: (one[:3] + FATAL, "fin"),
    "error": lambda rng, one: (ERROR + one, None), "error_instead": lambda rng, one: (ERROR, None),
    "panic": lambda rng, one: (FATAL.replace(b"FATAL", b"PANIC"), "fin"), "error_without_end": lambda rng, one: (message(b"E", b"SERROR\0C"), "fin"),
    "error_empty": lambda rng, one: (message(b"E"), None), "error_zero": lambda rng, one: (message(b"E", b"\0") + one, None),
    "error_huge": lambda rng, one: (message(b"E", b"SERROR\0VERROR\0CXX000\0M" + b"h" * (1 << 20) + b"\0\0") + one, None),
    "notice": lambda rng, one: (NOTICE + one, None), "notice_bad": lambda rng, one: (message(b"N", b"M") + one, None),
    "notice_behind": lambda rng, one: (one + NOTICE, None), "status_odd": lambda rng, one: (message(b"S", b"work_mem\0x") + one, None),
    "status": lambda rng, one: (message(b"S", text("chaos") + text("1")) + one, None), "status_empty": lambda rng, one: (message(b"S", b"\0\0") + one, None),
    "status_long": lambda rng, one: (message(b"S", text("TimeZone") + text("z" * 100000)) + one, None),
    "notification": lambda rng, one: (message(b"A", struct.pack("!i", 7) + text("chaos") + text("p")) + one, None),
    "notification_bad": lambda rng, one: (message(b"A", bytes(4) + b"abc") + one, None),
    "garbage": lambda rng, one: (bytes(rng.randrange(256) for _ in range(rng.randint(1, 100))), None),
    "http": lambda rng, one: (b"HTTP/1.1 400 Bad Request\r\n\r\n", "fin"),
    "length": lambda rng, one: (one[:1] + struct.pack("!i", rng.choice(LENGTHS)) + one[5:], "fin"),
    "unknown": lambda rng, one: (message(rng.choice((b"Q", b"\0", b"\xff", b"y")), b"abc") + one, None),
    "login": lambda rng, one: (message(b"R", struct.pack("!i", rng.choice((0, 3, 5, 10, 12)))) + one, None),
    "key": lambda rng, one: (message(b"K", bytes(8)) + one, None), "version": lambda rng, one: (message(b"v", bytes(8)) + one, None),
    "copy_in": lambda rng, one: (message(b"G", b"\0\0\1\0\0") + one, None), "copy_both": lambda rng, one: (message(b"W", b"\0\0\1\0\0") + one, None),
    "copy_out": lambda rng, one: (message(b"H", b"\0\0\1\0\0") + message(b"d", b"x") + one, None),
    "out_of_place": lambda rng, one: (message(rng.choice((b"1", b"2", b"3", b"n", b"s", b"I", b"c"))) + one, None),
    "call": lambda rng, one: (message(b"V", bytes(4)) + one, None), "complete": lambda rng, one: (message(b"C", text("SELECT 1")) + one, None),
    "complete_odd": lambda rng, one: (message(b"C", b"X"), "fin"), "deallocated": lambda rng, one: (message(b"C", text("DISCARD ALL")) + one, None),
    "ready": lambda rng, one: (message(b"Z", b"I") + one, None), "ready_odd": lambda rng, one: (message(b"Z", b"X"), "fin"),
    "ready_long": lambda rng, one: (message(b"Z", b"IT") + one, None), "ready_twice": lambda rng, one: (one + message(b"Z", b"I") * (one[:1] == b"Z"), None),
    "complete_twice": lambda rng, one: (one * (2 if one[:1] == b"C" else 1), None), "twice": lambda rng, one: (one * 2, None),
    "parameters": lambda rng, one: (message(b"t", b"\x7f\xff") + one, None), "columns": lambda rng, one: (message(b"T", b"\x7f\xff") + one, None),
    "row": lambda rng, one: (message(b"D", b"\x7f\xff\0") + one, None), "dropped": lambda rng, one: (b"", None), "stall": lambda rng, one: (one, "stall"),
}


# Without those after which a login would wait for connect_timeout, and with it whoever wants the pool's next connection.
LOGIN_FAULTS = [name for name in FAULTS if name not in ("dropped", "garbage")]


class Torn:
    """What is to be broken on one connection: (behind how many ReadyForQuery, what, at which message from there on)."""

    def __init__(self):
        self.due, self.asked, self.readies = [], 0, -1  # that of the login has number -1

    def fault(self, kind):
        """The fault of this message, if it has one."""
        found = None
        while self.due and self.due[0][0] < self.readies:
            del self.due[0]  # whose answer was to be broken has had all of it
        if self.due and self.due[0][0] == self.readies:
            at, name, count = self.due.pop(0)
            if count == 0:
                found = name
            else:
                self.due.insert(0, (at, name, count - 1))
        self.readies += kind == b"Z"
        return found


class Breaker:
    """Stands between pgring and PostgreSQL. What it breaks is said in a comment of the statement: which fault, and at which message of
    the answer. breaks_logins: the share of new connections that it breaks before they are ready."""

    def __init__(self, address, seed=0):
        self.address, self.rng, self.breaks_logins, self.broken = address, random.Random("breaker %d" % seed), 0.0, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        harness.serve_each(self.listener, self._serve)

    def _serve(self, client):
        try:
            server = socket.create_connection(self.address)
        except OSError:
            client.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        torn = Torn()
        if self.rng.random() < self.breaks_logins:
            torn.due.append((-1, self.rng.choice(LOGIN_FAULTS), self.rng.randint(0, 18)))
        threading.Thread(target=self._up, args=(client, server, torn), daemon=True).start()
        self._down(client, server, torn, random.Random(self.rng.random()))

    def _up(self, client, server, torn):
        buf, is_typed = b"", False
        try:
            while data := client.recv(65536):
                buf += data
                while len(buf) >= 5:
                    length = struct.unpack_from("!i", buf, 1)[0] + 1 if is_typed else struct.unpack_from("!i", buf)[0]
                    if len(buf) < length:
                        break
                    one, buf = buf[:length], buf[length:]
                    if is_typed and one[:1] in b"PQ":
                        torn.due += [(torn.asked, name.decode(), int(count)) for name, count in FAULT.findall(one)]
                    torn.asked += is_typed and one[:1] in b"QSF"
                    is_typed = True
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        try:  # who has gone reads no more
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _down(self, client, server, torn, rng):
        buf, how = b"", "fin"
        try:
            while data := server.recv(65536):
                buf += data
                out = b""
                while len(buf) >= 5 and len(buf) > struct.unpack_from("!i", buf, 1)[0]:
                    length = 1 + struct.unpack_from("!i", buf, 1)[0]
                    one, buf = buf[:length], buf[length:]
                    name = torn.fault(one[:1])
                    if not name:
                        out += one
                        continue
                    self.broken += 1
                    instead, ending = FAULTS[name](rng, one)
                    out += instead
                    if ending == "stall":
                        client.sendall(out[:-3])
                        time.sleep(rng.choice((0.002, 0.05, 0.3)))
                        out = out[-3:]
                    elif ending:
                        client.sendall(out)
                        how = ending
                        return
                client.sendall(out)
        except OSError:
            pass
        finally:
            try:
                if how == "rst":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            client.close()
            server.close()

    def close(self):
        self.listener.close()


class Victim:
    """A client whose answer is broken on its way. It gets something, or the end, in time."""

    def __init__(self, seed):
        self.seed, self.rng = seed, random.Random("victim %d" % seed)
        self.name = self.rng.choice(list(FAULTS))
        mark = " /* break %s %d */" % (self.name, self.rng.choice((0, 0, 1, 1, 2, 3, 4, 5)))
        self.data = self.rng.choice((
            query(ROWS % 5 + mark), query(ROWS % 3000 + mark), parse(ROWS % 4 + mark) + bind() + describe_portal() + execute() + SYNC,
            parse(ROWS % 4 + mark, "v") + describe_statement("v") + bind(name="v") + execute(rows=2) + SYNC + bind(name="v") + execute() + SYNC,
            query("BEGIN" + mark) + query("INSERT INTO public.chaos_sink VALUES (1)" + mark) + query("COMMIT"), query("SELECT 1" + mark) * 5,
            query("COPY public.chaos_sink FROM STDIN" + mark) + copy_data(b"1\n" * 9) + COPY_DONE, query("COPY (%s) TO STDOUT" % (ROWS % 100) + mark),
            query("SET work_mem = '99kB'" + mark), query("LISTEN chaos" + mark), parse("SELECT 1" + mark) + FLUSH, query("DISCARD ALL" + mark),
            query("PREPARE v AS SELECT 1" + mark) + query("EXECUTE v"), query("SELECT pg_advisory_lock_shared(4)" + mark)))

    def __str__(self):
        return "victim %d: %s: %r" % (self.seed, self.name, self.data[:200])

    def live(self, address, database):
        with wireclient.connect(address, USER, PASSWORD, database, timeout=30) as wire:
            if self.rng.random() < 0.1:
                wire.send(self.data)
                return
            wire.buf.clear()
            wire.at = 0
            wire.send(self.data)
            deadline = time.monotonic() + (0.1 if self.name == "dropped" else 0.4)
            count = sum(self.data.count(kind) for kind in (b"S\0\0\0\4", b"Q\0\0\0"))
            while not wire.eof and time.monotonic() < deadline and wire.buf.count(b"Z\0\0\0\5") < count:
                wire.at = len(wire.buf)
                wire.silent(0.02)
            if self.rng.random() < 0.5:
                wire.drop(self.rng.random() < 0.5)


# ---- those who behave ---------------------------------------------------------------------------------------------------------


def scripts(me, mode):
    """(name, bytes, how many ReadyForQuery): what is answered in the same way whenever it is asked."""
    own = "public.chaos_%s" % me
    out = [
        ("simple", query("SELECT 'me %s', repeat('%s', 200)" % (me, me)), 1),
        ("string", query("SELECT 1; SELECT 'me %s'; SELECT NULL" % me), 1),
        ("named", bind(("7", "me " + me), name="mine") + describe_portal() + execute() + SYNC, 1),
        ("described", describe_statement("mine") + SYNC + bind((None, ""), name="mine", result_formats=(1,)) + execute() + SYNC, 2),
        ("unnamed", parse("SELECT '%s', $1::int + 1" % me) + describe_statement() + bind(("41",)) + describe_portal() + execute() + SYNC, 1),
        ("pipeline", b"".join(parse("SELECT %d, '%s'" % (i, me)) + bind() + execute() + SYNC for i in range(7)), 7),
        ("batch", b"".join(bind((str(i), me), name="mine") + execute() for i in range(20)) + SYNC, 1),
        ("portal", parse("SELECT g, '%s' FROM generate_series(1, 9) g" % me) + bind(portal="p") + execute("p", 4) + execute("p", 4) + execute("p") + SYNC, 1),
        ("large answer", query("SELECT g, md5(g || '%s') FROM generate_series(1, 4000) g" % me), 1),
        ("copy out", query("COPY (SELECT g, '%s' FROM generate_series(1, 500) g) TO STDOUT" % me), 1),
        ("copy out, binary", query("COPY (SELECT g, '%s' FROM generate_series(1, 50) g) TO STDOUT (FORMAT binary)" % me), 1),
        ("copy in", query("COPY %s FROM STDIN" % own) + copy_data("".join("%d\n" % i for i in range(300))) + COPY_DONE
         + query("SELECT count(*), sum(a), '%s' FROM %s" % (me, own)) + query("DELETE FROM " + own), 3),
        ("copy that fails", query("COPY %s FROM STDIN" % own) + copy_data("1\n") + copy_fail("me " + me) + query("SELECT count(*) FROM " + own), 2),
        ("error", query("SELECT '%s'::int" % me), 1),
        ("error in a batch", parse("SELECT 1/$1::int, '%s'" % me) + bind(("0",)) + execute() + bind(("1",)) + execute() + SYNC + query("SELECT '%s'" % me), 2),
        ("function", function_call(177, [b"\0\0\0\5", struct.pack("!i", len(me))]), 1),
        ("large request", parse("SELECT length($1), '%s'" % me) + bind((b"L" * 700000,)) + execute() + SYNC, 1),
        ("setting", query("SELECT current_setting('my.honest')"), 1),
    ]
    if mode != "statement":
        out += [
            ("transaction", query("BEGIN") + query("INSERT INTO %s VALUES (1), (2)" % own) + query("SELECT count(*), '%s' FROM %s" % (me, own)) + query("ROLLBACK"), 4),
            ("open transaction", parse("BEGIN") + bind() + execute() + SYNC + query("INSERT INTO %s VALUES (3)" % own)
             + query("DELETE FROM %s RETURNING a, '%s'" % (own, me)) + query("COMMIT"), 4),
            ("portal over batches", query("BEGIN") + parse("SELECT g, '%s' FROM generate_series(1, 9) g" % me) + bind(portal="p") + execute("p", 4) + SYNC
             + execute("p", 4) + SYNC + execute("p") + SYNC + query("COMMIT"), 5),
        ]
    return out


class Honest:
    """A client that knows every byte of every answer. is_exact: nobody may take its server away."""

    def __init__(self, me, postgres, address, database, mode, is_exact=True):
        self.me, self.address, self.database, self.is_exact = me, address, database, is_exact
        self.rng, self.rounds, self.refusals, self.wire = random.Random("honest " + me), 0, {}, None
        self.scripts = scripts(me, mode)
        direct = self.prepared(postgres.connect(timeout=60))
        self.expected = {name: self.asked(direct, data, count) for name, data, count in self.scripts}
        direct.close()
        self.doing = None

    def prepared(self, wire):
        wire.send(parse("SELECT $1::int, $2::text, '%s'" % self.me, "mine") + SYNC + query("SET my.honest = 'me %s'" % self.me))
        answer = wire.read_ready(2)
        assert [kind for kind, _ in answer] == [b"1", b"Z", b"C", b"Z"], answer
        return wire

    def connect(self):
        wire = wireclient.connect(self.address, USER, PASSWORD, self.database, timeout=90)
        try:
            return self.prepared(wire)
        except BaseException:
            wire.drop()
            raise

    @staticmethod
    def asked(wire, data, count):
        """What came, and a report of why no more did."""
        out, readies = [], 0
        wire.send(data)
        try:
            while readies < count:
                out.append(wire.read())
                readies += out[-1][0] == b"Z"
        except wireclient.Closed:
            out.append((b"end", b""))
        return out

    def judged(self, name, answer):
        """None if all is well, "" if the server was lost, else what is wrong."""
        expected = self.expected[name]
        if answer == expected:
            return None
        at = next((i for i, (a, b) in enumerate(zip(answer, expected)) if a != b), min(len(answer), len(expected)))
        wrong = "%s of %s: message %d of %d is %s, expected was %s; before it: %s" % (
            name, self.me, at, len(expected), answer[at:at + 4], expected[at:at + 2], answer[max(0, at - 3):at])
        if self.is_exact or at == len(answer):
            return wrong
        kind, body = answer[at]
        fields = wireclient.error_fields(body) if kind == b"E" else {}
        lost = fields.get("C", "")[:2] in ("08", "57", "58") and fields["M"] != "chaos"
        lost = lost or fields.get("M", "").startswith(("server login failed: ", "the server asks for"))
        # A server that said of a Parse that it failed, and yet had done it, is found out once.
        if kind == b"end" or lost or fields.get("C") == "42P05":
            self.refusals[fields.get("C")] = self.refusals.get(fields.get("C"), 0) + 1
            return ""
        return wrong

    def cancelled(self):
        """What it asks for is cancelled, and nothing else is."""
        self.wire.send(query("SELECT '%s', pg_sleep(60)" % self.me))
        time.sleep(self.rng.choice((0, 0.01, 0.05)))
        for _ in range(40):
            self.wire.cancel()
            if not self.wire.silent(0.5):
                break
        answer = self.wire.read_ready()
        codes = [wireclient.error_fields(body)["C"] for kind, body in answer if kind == b"E"]
        return None if codes == ["57014"] else "cancelled by %s: %s" % (self.me, answer)

    def notified(self):
        """It hears what it says, once and in order."""
        self.wire.send(query("LISTEN honest_%s" % self.me))
        said, heard = ["%d.%d" % (self.rounds, i) for i in range(4)], []
        answer = self.wire.read_ready()
        for word in said:
            self.wire.send(query("NOTIFY honest_%s, '%s'" % (self.me, word)))
            answer += self.wire.read_ready()
        while sum(kind == b"A" for kind, _ in answer) < len(said):
            answer.append(self.wire.read())
        self.wire.send(query("UNLISTEN *"))
        answer += self.wire.read_ready()
        heard = [body.split(b"\0")[-2].decode() for kind, body in answer if kind == b"A"]
        return None if heard == said and not any(kind == b"E" for kind, _ in answer) else "%s heard %s, %s" % (self.me, heard, answer)

    def round(self):
        self.rounds += 1
        try:
            if self.wire is None:
                self.doing = "login"
                self.wire = self.connect()
            special = self.rng.random() if self.is_exact else 1
            if special < 0.03:
                self.doing = "cancel"
                found = self.cancelled()
            elif special < 0.06:
                self.doing = "notify"
                found = self.notified()
            else:
                name, data, count = self.rng.choice(self.scripts)
                self.doing = name
                found = self.judged(name, self.asked(self.wire, data, count))
        except (wireclient.ServerError, wireclient.Closed, AssertionError):
            if self.is_exact:
                raise
            found = ""
        if found:
            raise AssertionError(found)
        if found == "" or self.rng.random() < 0.02:
            if self.wire is not None:
                self.wire.close()
            self.wire = None

    def settle(self):
        """Once nothing is broken any more, all is well soon, and stays so."""
        self.wire, well = None, 0
        for _ in range(60):
            before = dict(self.refusals)
            self.round()
            well = well + 1 if self.refusals == before else 0
            if well >= 8:
                break
        self.leave()
        assert well >= 8, self.refusals

    def leave(self):
        if self.wire is not None:
            self.wire.close()
        self.wire = None
