"""Fixtures of the wire tests. See harness.py for the environment variables."""
import pytest

import dialogues
import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than five seconds")
    config.addinivalue_line("markers", "pgring_only: about pgring's own promises; means nothing for another target")
    harness.must_have_binary()


# A pool of one connection, or the whole of a pool, for clients on any core: as long as the cores' shares do not move (docs/limits.md),
# that holds with one core only.
ONE_CORE_ONLY = {
    "test_pools", "test_servers", "test_client_states", "test_clients_share_a_pool_of_one", "test_a_transaction_keeps_its_server",
    "test_session_mode_keeps_its_server", "test_pool_sizes_of_user_and_database", "test_checkout_timeout",
    "test_checkout_timeout_drops_the_client", "test_checkout_timeout_keeps_the_client", "test_a_waiting_client_leaves",
    "test_session_state_ends_with_the_session", "test_slow_reader_stops_only_itself", "test_slow_server_stops_only_its_client",
    "test_pool_does_not_leak_places", "test_startup_parameters_do_not_leak", "test_many_waiting_clients_leave",
    "test_cold_pool_serves_everybody_at_once", "test_50_clients_on_5_servers", "test_asyncpg", "test_listen_in_session_mode",
    "test_cancel_from_any_core_hits_the_right_query",
}


def skip_what_needs_one_core(items):
    skip = pytest.mark.skip(reason="the shares of a pool do not move between cores yet")
    for item in items:
        workers = item.callspec.params.get("workers", harness.WORKERS) if hasattr(item, "callspec") else harness.WORKERS
        if item.originalname in ONE_CORE_ONLY and workers > 1:
            item.add_marker(skip)


def pytest_collection_modifyitems(items):
    skip_what_needs_one_core(items)
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
def pooler(postgres):
    """A factory: pooler(pooler_mode="session", default_pool_size=1, ..., databases=[...], users=[...]) starts one with those keys
    in [general]. At the end it is ended by SIGTERM and must exit with 0 and a clean log."""
    started = []
    postgres.end_sessions()

    def start(server=None, databases=None, users=None, admin=None, sections=None, env=None, **general):
        one = harness.POOLERS[harness.TARGET](server or postgres, general=general, databases=databases, users=users,
                                              admin=admin, sections=sections, env=env)
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
