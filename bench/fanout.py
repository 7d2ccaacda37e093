"""LISTEN in transaction mode: each of many listeners hears each of many notifications, once and in order. A real PostgreSQL."""

import os
import selectors
import sys
import time

from processes import Failure

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'test', 'wire'))

import wireclient  # noqa: E402
from wireclient import query  # noqa: E402

FIRST_S = 3.0   # until everybody has heard that it works at all
LAST_S = 30.0   # until everybody has heard the last one
AT_ONCE = 10    # notifications under way


class FanoutRow:
    name, unit, target, most, cpu_most, more, exact = 'listen', 'us/tx', None, None, None, 0, True
    subject, base = 'pgring', 'PgBouncer'

    def __init__(self, listeners, notifications):
        self.listeners, self.notifications = listeners, notifications
        self.title = f'{listeners} listeners, {notifications} notifications (a tx: one that one of them hears)'


class Listener:
    """What one has heard so far. Only notifications may come, numbered from 0 on."""

    def __init__(self, wire):
        self.wire, self.heard, self.wrong = wire, 0, 0
        self.rest = b''

    def take(self):
        data = self.rest + self.wire.sock.recv(1 << 16)
        at = 0
        while len(data) - at >= 5:
            size = int.from_bytes(data[at + 1:at + 5], 'big') + 1
            if len(data) - at < size:
                break
            payload = data[at:at + size].rsplit(b'\0', 2)[-2]
            self.wrong += data[at:at + 1] != b'A' or payload != b'%d' % self.heard
            self.heard += 1
            at += size
        self.rest = data[at:]


def hear(selector, listeners, count, seconds):
    """Until everybody has heard `count`, or the time is over."""
    end = time.monotonic() + seconds
    while any(one.heard < count for one in listeners) and time.monotonic() < end:
        for key, _ in selector.select(0.2):
            key.data.take()


def measure(row, pooler, server):
    wires = []
    try:
        return run(row, pooler, server, wires)
    except (OSError, wireclient.WireError) as problem:
        raise Failure(f'{pooler.name}: {problem}') from None
    finally:
        for wire in wires:
            wire.drop()


def run(row, pooler, server, wires):
    def connect():
        wires.append(wireclient.connect(('127.0.0.1', pooler.port), server.user, None, server.database))
        return wires[-1]

    listeners = [Listener(connect()) for _ in range(row.listeners)]
    speaker = connect()
    with selectors.DefaultSelector() as selector:
        for one in listeners:
            one.wire.ask('LISTEN fanout')
            one.wire.sock.setblocking(False)
            selector.register(one.wire.sock, selectors.EVENT_READ, one)
        speaker.ask("SELECT pg_notify('fanout', '0')")
        hear(selector, listeners, 1, FIRST_S)
        if not any(one.heard for one in listeners):
            raise Failure(f'{pooler.name}: LISTEN in transaction mode is not delivered')
        cpu_ns, began = pooler.child.cpu_ns(), time.monotonic()
        for number in range(1, row.notifications, AT_ONCE):
            numbers = range(number, min(number + AT_ONCE, row.notifications))
            speaker.send(b''.join(query(f"SELECT pg_notify('fanout', '{n}')") for n in numbers))
            speaker.read_ready(len(numbers))
            for key, _ in selector.select(0):
                key.data.take()
        hear(selector, listeners, row.notifications, LAST_S)
        cpu_ns, seconds = pooler.child.cpu_ns() - cpu_ns, time.monotonic() - began
    heard = sum(one.heard for one in listeners)
    lost = row.listeners * row.notifications - heard
    return {'cost': cpu_ns / 1e3 / max(1, heard), 'rate': heard / seconds, 'foreign_cpus': 0.0, 'errors': 0,
            'wrong': sum(one.wrong for one in listeners), 'lost': max(0, lost), 'problem': f'{lost} were not heard' if lost else ''}
