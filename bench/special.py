"""Rows that are more than a loop of requests: a crowd that comes at once, others who do not read, a configuration that is read again."""

import contextlib
import json
import os
import sys
import threading
import time

import measure as plain
from poolers import OTHERS, PASSWORD
from processes import Failure, memory_bytes

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'test', 'wire'))

import wireclient  # noqa: E402

CROWD = 5000
AFTER_CROWD_S = 2.0
RELOAD_PAUSE_S = 0.2
STUCK_BYTES = 100_000_000


def measure(row, pooler, peer):
    """One round of a row under load, with whatever the case wants beside it."""
    case = pooler.case
    with contextlib.ExitStack() as stack:
        if case and case.stuck:
            stack.enter_context(those_who_do_not_read(pooler, peer.bench, case.stuck))
        reloads = stack.enter_context(Reloads(pooler)) if case and case.reload else None
        entry = plain.measure(row, pooler, peer)
    if reloads:
        entry['reload_ms'] = reloads.slowest_ms()
    return entry


# ---- clients that do not read


@contextlib.contextmanager
def those_who_do_not_read(pooler, bench, count):
    """They have a pool of their own, and a server of their own: the null server of the row is one thread with the generator."""
    child = plain.staying(bench, f'127.0.0.1:{pooler.port}', [
        '--mode', 'stuck', '--database', OTHERS, '--connections', count, '--bytes', STUCK_BYTES, '--row-bytes', 1000])
    try:
        yield
    finally:
        child.process.stdin.close()
        child.stop()


# ---- a crowd


def measure_crowd(row, pooler, peer):
    """From the first connect until everybody has its answer; and whether the memory comes back when they have gone."""
    bench, endpoint = peer.bench, f'127.0.0.1:{pooler.port}'
    first = peer.load(endpoint, ('--mode', 'simple', '--connections', '64'), seconds=0.3, warm_up=0)
    count = min(CROWD, bench.idle_clients)
    before = memory_bytes(pooler.child.pid)
    began = time.monotonic()
    child = plain.staying(bench, endpoint, [*row.load, '--connections', count])
    served_ms = (time.monotonic() - began) * 1e3
    result = json.loads(child.process.communicate(timeout=60)[0])  # closes its standard input
    child.stop()
    time.sleep(AFTER_CROWD_S)
    plain.alive(pooler)
    return {
        'cost': served_ms, 'rate': result['logged_in'], 'memory_left': memory_bytes(pooler.child.pid) / before, 'foreign_cpus': 0.0,
        **{name: result[name] + first[name] for name in ('errors', 'wrong', 'lost')}, 'problem': result['first_problem'],
    }


# ---- RELOAD


class Reloads:
    """Says RELOAD on the console again and again while it is open."""

    def __init__(self, pooler):
        database, user = pooler.console()
        try:
            self.wire = wireclient.connect(('127.0.0.1', pooler.port), user, PASSWORD, database)
        except (OSError, wireclient.WireError) as problem:
            raise Failure(f'no console: {problem}') from None
        self.over = threading.Event()
        self.times_ms, self.problem = [], None
        self.thread = threading.Thread(target=self._say)

    def __enter__(self):
        self._once()
        if self.problem:
            self.wire.close()
            raise Failure(f'RELOAD: {self.problem}')
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.wire.close()

    def _once(self):
        began = time.monotonic()
        try:
            self.wire.ask('RELOAD', 30)
            self.times_ms.append((time.monotonic() - began) * 1e3)
        except (OSError, wireclient.WireError) as problem:
            self.problem = problem

    def _say(self):
        while not self.problem and not self.over.wait(RELOAD_PAUSE_S):
            self._once()

    def slowest_ms(self):
        if self.problem:
            raise Failure(f'RELOAD: {self.problem}')
        return max(self.times_ms)
