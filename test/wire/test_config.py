"""The command line: configcheck, what stops a start, and where it says the fault is."""
import os
import subprocess

import pytest

import harness
from harness import toml

pytestmark = pytest.mark.pgring_only

GENERAL = {"host": "127.0.0.1", "port": 6432, "default_pool_size": 5}
DATABASES = [{"name": "a", "host": "127.0.0.1", "port": 5432}]
USERS = [{"name": "u", "password": "p", "database": "a"}]


@pytest.fixture
def folder():
    directory = harness.Directory()
    yield directory
    directory.remove()


def check(folder, main=None, users=None, env=None, arguments=("configcheck",)):
    """main and users: text or tables. Returns the finished process."""
    command = [harness.BINARY]
    for option, name, content in (("-c", "pgring.toml", main), ("-u", "users.toml", users)):
        path = os.path.join(folder.path, name)
        if content is not None:
            folder.write(name, content if isinstance(content, str) else toml(content))
        command += [option, path]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PGRING", "PGDOG", "RUST_LOG"))}
    environment.update(env or {})
    return subprocess.run(command + list(arguments), capture_output=True, text=True, timeout=120, env=environment, cwd=folder.path)


def good(folder, general=None, databases=None, users=None, **tables):
    done = check(folder, dict({"general": dict(GENERAL, **(general or {})), "databases": databases or DATABASES}, **tables), {"users": users or USERS})
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def bad(folder, main, users=None, *words):
    done = check(folder, main, users or {"users": USERS})
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    for word in words:
        assert word in text, "no %r in %r" % (word, text)
    return done


def test_good(folder):
    done = good(folder)
    assert "config valid" in done.stdout + done.stderr


@pytest.mark.parametrize("general", (
    {"pooler_mode": "session"}, {"pooler_mode": "statement"}, {"auth_type": "md5"}, {"auth_type": "trust"}, {"max_pool_size": 3, "default_pool_size": None},
    {"workers": 0}, {"checkout_timeout": 1}, {"idle_timeout": 9223372036854775807}, {"host": "::"}, {"host": ["127.0.0.1", "::1"]}, {"log_format": "json"},
    {"unix_socket_dir": "/tmp"}, {"connection_recovery": "drop"}, {"log_level": "debug,pgdog=trace"}, {"read_write_split": "exclude_primary"}))
def test_good_general(folder, general):
    good(folder, general)


def test_everything_that_a_pgdog_file_may_hold(folder):
    """Sections that do nothing yet are accepted, with a warning."""
    done = good(folder, {"query_parser": "auto", "prepared_statements": "full", "two_phase_commit": False, "openmetrics_port": 9090},
                users=[{"name": "u", "password": "p", "database": "a", "pool_size": 3, "pooler_mode": "session", "statement_timeout": 5,
                    "server_user": "x", "server_password": "y",
                        "read_only": True, "idle_timeout": 3, "schema_admin": True}],
                admin={"name": "admin", "user": "admin", "password": "x"}, tcp={"keepalive": True, "time": 1000, "interval": 500, "retries": 3, "user_timeout": 1000},
                memory={"net_buffer": 4096, "message_buffer": 4096}, sharded_tables=[{"database": "a", "column": "id", "data_type": "bigint"}],
                mirroring=[{"source_db": "a", "destination_db": "a"}], plugins=[{"name": "x"}], rewrite={"enabled": False})
    assert "warning" in done.stdout + done.stderr


def test_missing_files_are_a_warning(folder):
    done = check(folder)
    assert done.returncode == 0 and "warning" in done.stdout + done.stderr


@pytest.mark.parametrize("text, words", (
    ("[general]\nport = \n", ("pgring.toml:2",)),
    ("[general\nport = 1\n", ("pgring.toml:1",)),
    ("[general]\nport = 1\nport = 2\n", ("pgring.toml:3",)),
    ("[general]\n\n\nhost = 'unterminated\n", ("pgring.toml:4",)),
    ("[general]\nnonsense = 1\n", ("pgring.toml:2", "nonsense")),
    ("[general]\ndefault_pool_sise = 1\n", ("pgring.toml:2", "default_pool_size")),
    ("[nonsense]\na = 1\n", ("pgring.toml:1", "nonsense")),
    ("[general]\nport = \"six\"\n", ("pgring.toml:2", "port")),
    ("[general]\nport = 65536\n", ("pgring.toml:2", "port", "65535")),
    ("[general]\nport = 0\n", ("pgring.toml:2", "port")),
    ("[general]\nport = -1\n", ("pgring.toml:2", "port")),
    ("[general]\nport = 6432.5\n", ("pgring.toml:2", "port")),
    ("[general]\nport = true\n", ("pgring.toml:2", "port")),
    ("[general]\ndefault_pool_size = 0\n", ("pgring.toml:2", "default_pool_size")),
    ("[general]\nworkers = 100000\n", ("pgring.toml:2", "workers")),
    ("[general]\nlog_connections = \"yes\"\n", ("pgring.toml:2", "log_connections")),
    ("[general]\npooler_mode = \"transactions\"\n", ("pgring.toml:2", "transaction", "session", "statement")),
    ("[general]\nauth_type = \"none\"\n", ("pgring.toml:2", "scram", "trust")),
    ("[general]\nhost = \"not an address\"\n", ("pgring.toml:2", "host")),
    ("[general]\ncheckout_timeout = -5\n", ("pgring.toml:2", "checkout_timeout")),
    ("[general]\nhost = [1, 2]\n", ("pgring.toml:2", "host")),
    ("[[general]]\nport = 1\n", ("pgring.toml:1", "general")),
    ("[databases]\nname = \"a\"\n", ("pgring.toml:1", "databases")),
    ("[[databases]]\nname = \"a\"\n", ("pgring.toml:1", "host")),
    ("[[databases]]\nhost = \"a\"\n", ("pgring.toml:1", "name")),
    ("[[databases]]\nname = \"a\"\nhost = \"h\"\nrole = \"boss\"\n", ("pgring.toml:4", "primary")),
    ("port = 6432\n", ("pgring.toml:1", "general")),
    ("[[users]]\nname = \"u\"\n", ("pgring.toml:1", "users.toml")),
), ids=range(28))
def test_bad(folder, text, words):
    """Exit status 1, and file and line of the fault."""
    bad(folder, text, None, *words)


def test_all_faults_at_once(folder):
    done = bad(folder, "[general]\nport = 0\nworkers = -1\n[[databases]]\nname = 5\nhost = \"h\"\n", "[[users]]\nname = \"u\"\nnonsense = 1\n")
    text = done.stdout + done.stderr
    for place in ("pgring.toml:2", "pgring.toml:3", "pgring.toml:5", "users.toml:3"):
        assert place in text


def test_passwords_are_never_printed(folder):
    done = bad(folder, "[admin]\npassword = [\"hidden one\"]\n[general]\nport = 0\n", "[[users]]\nname = 1\npassword = \"hidden two\"\nserver_password = 5\n")
    assert "hidden" not in done.stdout + done.stderr


STRANGE = {"nulls": "\0\0\0", "not_utf8": "[general]\nhost = \"\xff\xfe\"\n", "brackets": "[" * 5000, "dots": "a." * 3000 + "b = 1\n", "nested": "x = " + "[" * 3000,
           "comments": "[general]\n" + "# comment\n" * 50000, "equals": "=", "byte_order_mark": "\ufeff[general]\nport = 7000\n", "2_mb": "# " + "x" * (2 << 20)}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_files(folder, name):
    """Refused or accepted, never a crash."""
    path = os.path.join(folder.path, "pgring.toml")
    with open(path, "wb") as file:
        file.write(STRANGE[name].encode("latin-1" if name == "not_utf8" else "utf-8"))
    assert check(folder, None, {"users": USERS}).returncode in (0, 1)


def test_a_directory_instead_of_a_file(folder):
    done = subprocess.run([harness.BINARY, "-c", folder.path, "-u", folder.path, "configcheck"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and folder.path in done.stdout + done.stderr


def test_environment(folder):
    """A default for what the file leaves out; an invalid one is an error that names the variable."""
    main = {"general": {"host": "127.0.0.1"}, "databases": DATABASES}
    assert check(folder, main, {"users": USERS}, {"PGDOG_PORT": "7000"}).returncode == 0
    for variable in ("PGDOG_DEFAULT_POOL_SIZE", "PGRING_DEFAULT_POOL_SIZE"):
        done = check(folder, main, {"users": USERS}, {variable: "many"})
        assert done.returncode == 1 and variable in done.stdout + done.stderr


def test_urls_replace_databases_and_users(folder):
    done = check(folder, {"general": GENERAL}, None, None, ("-d", "postgres://u:p@127.0.0.1:5432/a?pool_size=3", "configcheck"))
    assert done.returncode == 0, done.stdout + done.stderr
    done = check(folder, {"general": GENERAL}, None, None, ("-d", "mysql://u:p@127.0.0.1/a", "configcheck"))
    assert done.returncode == 1


def test_start_with_a_bad_file(folder):
    """It ends at once with 1 and the same words, and opens nothing."""
    done = check(folder, "[general]\nport = \"six\"\n", {"users": USERS}, None, ())
    assert done.returncode == 1 and "pgring.toml:2" in done.stdout + done.stderr


def test_version():
    done = subprocess.run([harness.BINARY, "--version"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "pgring" in done.stdout.lower()


@pytest.mark.parametrize("arguments", (["--nonsense"], ["nonsense"], ["-c"], ["configcheck", "extra"], ["hash"]))
def test_wrong_command_line(arguments):
    done = subprocess.run([harness.BINARY] + arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode not in (0, None) and done.returncode > 0
    assert done.stderr.strip(), "not a word about it"


def test_help():
    done = subprocess.run([harness.BINARY, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    for word in ("configcheck", "--config", "--users", "hash"):
        assert word in done.stdout
