"""Many cores, one pooler: how clients are spread, and how a pool's connections go to the core that needs them."""
import select
import time

import pytest

import crowd
import harness
import wireclient
from harness import DATABASE, USER, database_row, user_row, wait_until
from wireclient import query

pytestmark = pytest.mark.pgring_only


def cores_of(one):
    """The clients' ids by core, from the names of the clients in SHOW CLIENTS."""
    cores = {}
    with one.console() as console:  # which is somewhere, too
        for row in console.ask("SHOW CLIENTS"):
            if row[2] == DATABASE:
                cores.setdefault(row[14].split("-")[0], []).append(row[-1])
    return cores


def assert_spread(one, count, workers=4):
    mean = count / workers
    counts = [len(ids) for ids in cores_of(one).values()]
    assert sum(counts) == count and len(counts) == workers, counts
    assert max(counts) <= mean * 1.1 and min(counts) >= mean * 0.9, counts


@pytest.mark.parametrize("over", ("tcp", "unix"))
def test_clients_are_spread_over_the_cores(pooler, over):
    """Within a tenth of the mean, whoever accepts them, and again after many have left."""
    directory = harness.Directory()
    try:
        one = pooler(workers=4, unix_socket_dir=directory.path)
        address = one.address if over == "tcp" else "%s/.s.PGSQL.%d" % (directory.path, one.port)
        wires = [one.connect(address=address) for _ in range(80)]
        assert_spread(one, 80)
        for wire in wires[:40]:
            wire.close()
        wait_until(lambda: sum(map(len, cores_of(one).values())) == 40, 5, "the clients to go")
        wires = wires[40:] + [one.connect(address=address) for _ in range(40)]
        assert_spread(one, 80)
        for wire in wires:
            wire.close()
    finally:
        directory.remove()


def test_one_core_can_have_the_whole_pool(pooler, postgres):
    """All clients on one of four cores: it gets all 20 connections, and not one more."""
    one = pooler(workers=4, default_pool_size=20)
    wires = [one.connect() for _ in range(100)]
    crowd.ask_all(wires, "SELECT {i}")  # every core has some of the connections
    core, _ = max(cores_of(one).items(), key=lambda item: len(item[1]))
    by_core = {}
    for wire in wires:
        by_core.setdefault((wire.pid >> 20) - 1, []).append(wire)
    here = by_core.pop(int(core[1:]))
    for others in by_core.values():
        for wire in others:
            wire.close()
    here += [wire for wire in (one.connect() for _ in range(20)) if (wire.pid >> 20) - 1 == int(core[1:])]
    holders = here[:20]
    for wire in holders:
        wire.ask("BEGIN; SELECT 1")
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND datname = '%s'" % (USER, DATABASE)
    assert postgres.value(count) == "20"
    for wire in holders:
        wire.ask("COMMIT")


def turns_of(wires, seconds, statement):
    """Every client asks again as soon as it is answered. How often each was; every answer must be the same and right."""
    wires[0].send(query(statement))
    right = b"".join(wireclient.message(kind, body) for kind, body in wires[0].read_ready())
    assert b"a turn" in right
    turns, rest, waiting = [0] * len(wires), [b""] * len(wires), set(range(len(wires)))
    poll = select.poll()
    by_fd = {wire.sock.fileno(): i for i, wire in enumerate(wires)}
    for wire in wires:
        poll.register(wire.sock, select.POLLIN)
        wire.sock.send(query(statement))
    end = time.monotonic() + seconds
    while waiting:
        events = poll.poll(1000 * wireclient.PATIENCE_S)
        assert events, "%d clients are not answered" % len(waiting)
        for fd, _ in events:
            i = by_fd[fd]
            rest[i] += wires[i].sock.recv(4096)
            assert rest[i] and right.startswith(rest[i]), rest[i]
            if rest[i] != right:
                continue
            rest[i] = b""
            if time.monotonic() < end:
                turns[i] += 1
                wires[i].sock.send(query(statement))
            else:
                waiting.discard(i)
    return turns


@pytest.mark.parametrize("workers", (1, 2, 4))
def test_waiting_is_fair(pooler, postgres, workers):
    """200 clients of pools of 1, 5 and 20: nobody has less than half the turns of anybody else, whichever core it is on, and no pool
    is larger than it may be."""
    sizes = {1: 0, 5: 0.001, 20: 0.004}  # and how long a turn takes: the pool is what they wait for, not this machine
    one = pooler(databases=[database_row(postgres, "pool%d" % size, pool_size=size) for size in sizes], workers=workers, auth_type="trust",
                 users=[user_row(USER, None, all_databases=True)])
    for size, seconds in sizes.items():
        postgres.end_sessions()
        wires = [one.connect(database="pool%d" % size) for _ in range(200)]
        turns = [0] * len(wires)
        for part in range(1, 21):  # a core that the machine did not let run has fewer turns, too, but not for ever
            turns = [before + now for before, now in zip(turns, turns_of(wires, 1, "SELECT 'a turn', pg_sleep(%g)" % seconds))]
            if 0 < max(turns) <= min(turns) * 2:
                break
        harness.measured("pool of %d, 200 clients" % size, "%d to %d turns in %d s, %d in all" % (min(turns), max(turns), part, sum(turns)))
        assert 0 < max(turns) <= min(turns) * 2, sorted(turns)
        assert len(postgres.server_pids(USER)) <= size
        for wire in wires:
            wire.close()


def test_connections_move_instead_of_being_opened_anew(pooler, postgres):
    """A pool of one, used by clients of four cores in turn: it is always the same connection."""
    one = pooler(workers=4, default_pool_size=1)
    wires = [one.connect() for _ in range(8)]
    assert len({wire.pid >> 20 for wire in wires}) == 4
    pids = {wire.one("SELECT pg_backend_pid()") for _ in range(5) for wire in wires}
    assert len(pids) == 1
