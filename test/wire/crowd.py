"""Many clients from one thread: who answers when."""
import selectors
import socket
import time

import wireclient
from wireclient import query


def all_connected(pooler, count, **options):
    """`count` logged-in clients; their startup packets go out together."""
    return [pooler.connect(**options) for _ in range(count)]


def answers(wires, timeout=wireclient.PATIENCE_S):
    """Waits until each has a whole answer (to ReadyForQuery or to the end). Returns [(index, messages, seconds)] in the order of
    arrival; whoever has none in time is missing."""
    began = time.monotonic()
    waiting, out = {wire: [] for wire in wires}, []
    index = {wire: i for i, wire in enumerate(wires)}

    def take(wire):
        while wire in waiting:
            try:
                waiting[wire].append(wire.read(0))
            except wireclient.TimedOut:
                return
            except wireclient.Closed:
                out.append((index[wire], waiting.pop(wire), time.monotonic() - began))
                return
            if waiting[wire][-1][0] == b"Z":
                out.append((index[wire], waiting.pop(wire), time.monotonic() - began))

    with selectors.DefaultSelector() as selector:
        for wire in wires:
            selector.register(wire.sock, selectors.EVENT_READ, wire)
            take(wire)
        while waiting:
            left = began + timeout - time.monotonic()
            ready = selector.select(max(0, left))
            if not ready:
                break
            for key, _ in ready:
                if key.data in waiting:
                    take(key.data)
                    if key.data not in waiting:
                        selector.unregister(key.data.sock)
                elif key.data.sock.fileno() >= 0:
                    selector.unregister(key.data.sock)
    return out


def ask_all(wires, sql, timeout=wireclient.PATIENCE_S):
    """The same query from all at once; every one must be answered without an error. Returns what answers() returns, with rows."""
    for i, wire in enumerate(wires):
        wire.send(query(sql.replace("{i}", str(i))))
    got = answers(wires, timeout)
    assert len(got) == len(wires), "%d of %d were not answered within %.0f s" % (len(wires) - len(got), len(wires), timeout)
    return [(i, wireclient.Wire.rows(messages), seconds) for i, messages, seconds in got]


def work_through(wires, script, rounds, timeout=120.0):
    """Each client runs the statements of script(client, round) one after the other, all clients at the same time, for a number of
    rounds. Every statement must succeed. Returns how many statements were answered."""
    deadline = time.monotonic() + timeout
    done = 0
    state = {}
    with selectors.DefaultSelector() as selector:
        for i, wire in enumerate(wires):
            work = [sql for r in range(rounds) for sql in script(i, r)]
            state[wire] = work
            wire.send(query(work.pop(0)))
            selector.register(wire.sock, selectors.EVENT_READ, wire)
        while state:
            events = selector.select(max(0, deadline - time.monotonic()))
            assert events, "%d clients were not served in time" % len(state)
            for key, _ in events:
                wire = key.data
                while wire in state:
                    try:
                        kind, body = wire.read(0)
                    except wireclient.TimedOut:
                        break
                    if kind == b"E":
                        raise wireclient.ServerError(wireclient.error_fields(body))
                    if kind == b"Z":
                        done += 1
                        if state[wire]:
                            wire.send(query(state[wire].pop(0)))
                        else:
                            del state[wire]
                            selector.unregister(wire.sock)
    return done


def rush(pooler, count, user="wire", database="wire", timeout=wireclient.PATIENCE_S):
    """`count` clients that connect at the same moment and log in by trust. Returns [(wire, seconds until it was let in)]; who is not
    let in within the time, or at all, is missing."""
    began = time.monotonic()
    packet = wireclient.startup_packet([("user", user), ("database", database)])
    inside, waiting = [], {}
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex(pooler.address)
            waiting[sock] = b""
            selector.register(sock, selectors.EVENT_WRITE)
        while waiting and time.monotonic() - began < timeout:
            for key, events in selector.select(1.0):
                sock = key.fileobj
                try:
                    if events & selectors.EVENT_WRITE:
                        sock.send(packet)
                        selector.modify(sock, selectors.EVENT_READ)
                        continue
                    more = sock.recv(65536)
                except OSError:
                    more = b""
                waiting[sock] += more
                if not more or waiting[sock].endswith(wireclient.message(b"Z", b"I")):
                    got = waiting.pop(sock)
                    selector.unregister(sock)
                    if got.endswith(wireclient.message(b"Z", b"I")):
                        inside.append((wireclient.Wire(pooler.address, sock=sock), time.monotonic() - began))
                    else:
                        sock.close()
    for sock in waiting:
        sock.close()
    return inside
