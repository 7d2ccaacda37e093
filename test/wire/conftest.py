"""Fixtures of the wire tests. See harness.py for the environment variables."""
import pytest

import dialogues
import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than five seconds")
    config.addinivalue_line("markers", "pgring_only: about pgring's own promises; means nothing for another target")
    harness.must_have_binary()


def pytest_collection_modifyitems(items):
    if harness.TARGET == "pgring":
        return
    skip = pytest.mark.skip(reason="only for pgring, not for " + harness.TARGET)
    for item in items:
        if "pgring_only" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def postgres():
    """The server that most tests share. It holds the dialogue fixture and must never be stopped by a test."""
    server = harness.Postgres()
    try:
        server.sql(dialogues.FIXTURE)
        server.sql("SELECT wire_reset()")
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def fault_postgres():
    """Another server, which tests may stop, kill and start again. It is running at the start of each test."""
    server = harness.Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def breakable(fault_postgres):
    if not fault_postgres.process.alive():
        fault_postgres.start()
    yield fault_postgres
    if not fault_postgres.process.alive():
        fault_postgres.start()


@pytest.fixture
def door(postgres):
    """Closed at the beginning."""
    one = harness.Door(postgres)
    yield one
    one.holder.close()


@pytest.fixture
def pooler(postgres):
    """A factory: pooler(pooler_mode="session", default_pool_size=1, ..., databases=[...], users=[...]) starts one with those keys
    in [general]. At the end it is ended by SIGTERM and must exit with 0 and a clean log."""
    started = []
    postgres.end_sessions()

    def start(server=None, databases=None, users=None, admin=None, sections=None, env=None, descriptors=None, **general):
        one = harness.POOLERS[harness.TARGET](server or postgres, general=general, databases=databases, users=users,
                                              admin=admin, sections=sections, env=env)
        one.descriptors = descriptors
        started.append(one)
        return one.start()

    yield start
    problems = []
    for one in started:
        try:
            one.finish()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)
