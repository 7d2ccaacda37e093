"""Many cores, one pooler: how clients are spread, and how a pool's connections go to the core that needs them."""
import select
import time

import pytest

import crowd
import harness
from harness import DATABASE, USER, wait_until
from wireclient import query

pytestmark = pytest.mark.pgring_only


def cores_of(one):
    """The clients' ids by core, from the names of the clients in SHOW CLIENTS."""
    cores = {}
    for row in one.console().ask("SHOW CLIENTS"):
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
    """Every client asks again as soon as it is answered. How often each was."""
    turns = [0] * len(wires)
    poll = select.poll()
    by_fd = {}
    for i, wire in enumerate(wires):
        by_fd[wire.sock.fileno()] = i
        poll.register(wire.sock, select.POLLIN)
        wire.send(query(statement))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, _ in poll.poll(100):
            i = by_fd[fd]
            wires[i].read_ready()
            turns[i] += 1
            wires[i].send(query(statement))
    for wire in wires:
        wire.read_ready()
    return turns


@pytest.mark.parametrize("size", (1, 5, 20))
def test_waiting_is_fair_over_the_cores(pooler, postgres, size):
    """Clients of any core get their turn equally often, however few connections there are."""
    one = pooler(workers=4, default_pool_size=size)
    wires = [one.connect() for _ in range(60)]
    for attempt in range(3):  # a core that the machine did not let run has fewer turns, too, but not each time
        turns = turns_of(wires, 2, "SELECT 1")
        print("pool of %d: %d to %d turns" % (size, min(turns), max(turns)))
        assert min(turns) > 0
        if min(turns) * 2 >= max(turns):
            break
    assert min(turns) * 2 >= max(turns), sorted(turns)
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND datname = '%s'" % (USER, DATABASE)
    assert int(postgres.value(count)) <= size


def test_connections_move_instead_of_being_opened_anew(pooler, postgres):
    """A pool of one, used by clients of four cores in turn: it is always the same connection."""
    one = pooler(workers=4, default_pool_size=1)
    wires = [one.connect() for _ in range(8)]
    assert len({wire.pid >> 20 for wire in wires}) == 4
    pids = {wire.one("SELECT pg_backend_pid()") for _ in range(5) for wire in wires}
    assert len(pids) == 1
