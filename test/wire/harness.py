"""Starts and stops what the wire tests need: real PostgreSQL servers and the pooler under test.

Everything listens on loopback on free ports and in directories of its own; everything is stopped by its process number.
Environment:
  PGRING              the binary under test (default: build/pgring of the source tree)
  PGRING_TEST_WORKERS cores of pgring (default 1)
  PGRING_TEST_TARGET  pgring (default), pgbouncer or direct: what stands between client and server. The other two exist to
                      test these tests: `direct` must pass every dialogue, `pgbouncer` must fail the ones it gets wrong
  PGRING_TEST_MEASURED  a file to which tests append what they measured (docs/reliability.md is made from it)
  PGRING_TEST_KEEP    1: keep the directories (configuration, logs) after the run
"""
import ctypes
import glob
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import wireclient

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.environ.get("PGRING_TEST_TARGET", "pgring")
WORKERS = int(os.environ.get("PGRING_TEST_WORKERS", "1"))
BINARY = os.path.abspath(os.path.join(ROOT, os.environ.get("PGRING", "build/pgring")))
SANITIZED = "ASAN_OPTIONS" in os.environ  # ./dev sets it for both; their allocators give no figures
KEEP = os.environ.get("PGRING_TEST_KEEP") == "1"

PATIENCE_S = wireclient.PATIENCE_S
START_TIMEOUT_S = STOP_TIMEOUT_S = PATIENCE_S

DATABASE = "wire"
SUPERUSER = "postgres"

# name -> (password, password_encryption when it is stored, method in pg_hba.conf)
ROLES = {
    "wire": ("wire secret", "scram-sha-256", "scram-sha-256"),
    "sam": ("sams, secret=", "scram-sha-256", "scram-sha-256"),
    "mona": ("monas secret", "md5", "md5"),
    "clara": ("claras secret", "scram-sha-256", "password"),
    "tina": ("tinas secret", "scram-sha-256", "trust"),
    "other": ("other secret", "scram-sha-256", "scram-sha-256"),
    "ursula": ("pässwörd 鍵", "scram-sha-256", "scram-sha-256"),
    "larry": ("long" * 250, "scram-sha-256", "scram-sha-256"),
}
USER = "wire"
PASSWORD = ROLES[USER][0]

# What no run may leave in a log.
BAD_LOG_WORDS = ("invariant broken", "AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "MemorySanitizer",
                 "UndefinedBehaviorSanitizer", "runtime error:", "Assertion `")


def at_most(seconds):
    """The bound for what is promised to take no longer (docs/reliability.md). Who measures, on a machine with nothing else to do, holds
    it to that; any other one may be slow, and have other things to do."""
    return seconds if os.environ.get("PGRING_TEST_MEASURED") else 10 * seconds + 10


def wait_until(condition, timeout=PATIENCE_S, what="the condition", interval=0.01):
    """Polls until condition() is true and returns what it answered. timeout: what it takes on a machine with nothing else to do; on any other
    it may take PATIENCE_S, and who wants to see that it is soon has to measure it (at_most)."""
    timeout = max(timeout, PATIENCE_S)
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError("%s did not come true within %.1f s" % (what, timeout))
        time.sleep(interval)


def is_free(port, host):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        try:
            sock.bind((host, port))
            return True
        except OSError:
            return False


def serve_each(listener, serve):
    """Calls serve(connection) for each connection, in a thread of its own, until the listener is closed."""
    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def free_port(host="127.0.0.1"):
    """One that the kernel gives to nobody who connects or binds to port 0: it stays free while its server is away."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first, last = map(int, file.read().split())
    hosts = {host, "127.0.0.1"} | ({"::1"} if has_ipv6() else set())
    reserve = range(10000, first) if first > 11000 else range(last + 1, 65536)
    for port in random.SystemRandom().sample(reserve, min(len(reserve), 1000)):
        if all(is_free(port, one) for one in hosts):
            return port
    with socket.socket() as sock:  # the kernel may give away all of them here
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def has_ipv6():
    return socket.has_ipv6 and is_free(0, "::1")


def postgres_binary(name):
    found = shutil.which(name)
    if found and name not in ("initdb", "postgres"):
        return found
    versions = sorted(glob.glob("/usr/lib/postgresql/*/bin/" + name), key=lambda p: int(p.split("/")[4]))
    if versions:
        return versions[-1]
    if found:
        return found
    raise FileNotFoundError("%s of PostgreSQL is neither in PATH nor in /usr/lib/postgresql/*/bin" % name)


def unprivileged_user():
    """The user who runs what refuses to be root, or None if we are not root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise RuntimeError("running as root, and neither a user postgres nor nobody exists")


def as_user(user):
    """The command prefix that gives up root. It execs, so the process number stays the started program's."""
    if user is None:
        return []
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", "--pdeathsig", "KILL", "--"]


def die_with_parent():
    """Between fork and exec: no orphans when the test run itself is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Directory:
    """A temporary directory with a short path (unix sockets live in it) that the unprivileged user can use."""

    def __init__(self, owner=None):
        self.path = tempfile.mkdtemp(prefix="pgw")
        os.chmod(self.path, 0o755)
        if owner is not None:
            os.chown(self.path, owner.pw_uid, owner.pw_gid)

    def write(self, name, content):
        """All of it at once: who reads meanwhile sees what was there before."""
        path = os.path.join(self.path, name)
        with open(path + ".new", "w") as file:
            file.write(content)
        os.chmod(path + ".new", 0o644)
        os.rename(path + ".new", path)
        return path

    def remove(self):
        if not KEEP:
            shutil.rmtree(self.path, ignore_errors=True)


class Process:
    """A started program whose two outputs go to one log file."""

    def __init__(self, command, log_path, env=None, cwd=None, descriptors=None):
        """descriptors: how many it may have at most."""
        def prepare():
            die_with_parent()
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.command = command
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=cwd,
                                          preexec_fn=prepare)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def wait(self, timeout=STOP_TIMEOUT_S):
        """The exit status, or None if it still runs. As patient as wait_until()."""
        try:
            return self.popen.wait(max(timeout, STOP_TIMEOUT_S))
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        self.signal(signal.SIGKILL)
        self.popen.wait()


# ---- PostgreSQL ----------------------------------------------------------------------------------------------------

POSTGRESQL_CONF = """
listen_addresses = '%(listen)s'
unix_socket_directories = '%(directory)s'
max_connections = 300
superuser_reserved_connections = 20
shared_buffers = 64MB
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
authentication_timeout = 60s
log_destination = stderr
log_line_prefix = '%%m [%%p] %%u@%%d '
timezone = 'UTC'
log_timezone = 'UTC'
"""


def measured(what, value):
    """For docs/reliability.md."""
    if os.environ.get("PGRING_TEST_MEASURED"):
        with open(os.environ["PGRING_TEST_MEASURED"], "a") as file:
            file.write("%s: %s: %s\n" % (os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0].split("::")[-1], what, value))


class Postgres:
    """A PostgreSQL server of our own. stop(), kill() and start() may follow each other; port and data stay."""

    def __init__(self):
        self.user = unprivileged_user()
        self.directory = Directory(self.user)
        self.host = "127.0.0.1"
        self.port = free_port()
        self.process = None
        self.admin_connection = None
        self._initialise()

    # -- life

    def _initialise(self):
        data = os.path.join(self.directory.path, "data")
        done = subprocess.run(as_user(self.user) + [postgres_binary("initdb"), "-D", data, "-U", SUPERUSER, "-A", "trust",
                              "-E", "UTF8", "--locale=C", "--no-sync"], capture_output=True, text=True, cwd=self.directory.path)
        if done.returncode != 0:
            raise RuntimeError("initdb failed: " + done.stdout + done.stderr)
        listen = self.host + (",::1" if has_ipv6() else "")
        with open(os.path.join(data, "postgresql.conf"), "a") as file:
            file.write(POSTGRESQL_CONF % {"listen": listen, "directory": self.directory.path})
        hba = ["local all %s trust" % SUPERUSER, "host all %s samehost trust" % SUPERUSER]
        for kind in ("local all %s %s", "host all %s samehost %s"):
            hba += [kind % (name, method) for name, (_, _, method) in ROLES.items()]
        with open(os.path.join(data, "pg_hba.conf"), "w") as file:
            file.write("\n".join(hba) + "\n")
        self._start_first()
        for name, (password, encryption, _) in ROLES.items():
            self.sql("SET password_encryption = '%s'" % encryption, "postgres")
            self.sql("CREATE ROLE %s LOGIN PASSWORD '%s'" % (name, password), "postgres")
        self.sql("CREATE DATABASE %s OWNER %s" % (DATABASE, USER), "postgres")
        self.sql("GRANT ALL ON SCHEMA public TO PUBLIC", DATABASE)

    def _start_first(self):
        """With a port that nobody else has taken since it was looked for."""
        for attempt in range(3):
            try:
                return self.start()
            except RuntimeError as problem:
                if attempt == 2 or "in use" not in str(problem):
                    raise
                self.port = free_port()

    def start(self):
        """Starts and waits until it answers."""
        command = [postgres_binary("postgres"), "-D", os.path.join(self.directory.path, "data"), "-p", str(self.port)]
        self.process = Process(as_user(self.user) + command, os.path.join(self.directory.path, "postgres.log"), cwd=self.directory.path)
        wait_until(self._ready, START_TIMEOUT_S, "PostgreSQL's start")

    def _ready(self):
        if not self.process.alive():
            raise RuntimeError("PostgreSQL ended: " + self.process.log()[-2000:])
        try:
            self.connect_admin("postgres").close()
            return True
        except (OSError, wireclient.WireError):
            return False

    def _stop(self, number):
        self._forget_admin()
        children = self._children()
        self.process.signal(number)
        if self.process.wait(START_TIMEOUT_S) is None:
            self.process.kill()
            raise RuntimeError("PostgreSQL did not stop")
        wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in children), START_TIMEOUT_S, "end of all backends")

    def stop(self):
        """Fast shutdown: sessions get FATAL 57P01."""
        if self.process.alive():
            self._stop(signal.SIGINT)

    def crash(self):
        """SIGKILL to the postmaster and every backend: nobody says goodbye."""
        self._forget_admin()
        children = self._children()
        self.process.kill()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in children), START_TIMEOUT_S, "end of all backends")

    def _children(self):
        try:
            with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as file:
                return [int(pid) for pid in file.read().split()]
        except FileNotFoundError:
            return []

    def remove(self):
        self.stop()
        self.directory.remove()

    # -- use

    @property
    def address(self):
        return self.host, self.port

    @property
    def socket_path(self):
        return os.path.join(self.directory.path, ".s.PGSQL.%d" % self.port)

    def connect_admin(self, database=DATABASE):
        return wireclient.connect(self.socket_path, SUPERUSER, None, database)

    def connect(self, user=USER, database=DATABASE, **options):
        """A direct connection as one of the roles."""
        return wireclient.connect(self.address, user, ROLES[user][0], database, **options)

    def sql(self, statement, database=DATABASE):
        """Runs one statement as superuser on a connection that is kept, and returns its rows."""
        if self.admin_connection is None or self.admin_connection[0] != database:
            self._forget_admin()
            self.admin_connection = (database, self.connect_admin(database))
        try:
            return self.admin_connection[1].ask(statement, 60)
        except wireclient.ServerError:
            raise
        except (wireclient.WireError, OSError):
            self._forget_admin()
            raise

    def value(self, statement):
        return self.sql(statement)[0][0]

    def _forget_admin(self):
        if self.admin_connection is not None:
            self.admin_connection[1].close()
            self.admin_connection = None

    def server_pids(self, user=None, database=DATABASE):
        """The process numbers of the pooler's server connections."""
        condition = "usename = '%s'" % user if user else "usename <> '%s'" % SUPERUSER
        return [int(row[0]) for row in self.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                                "AND datname = '%s' AND %s ORDER BY pid" % (database, condition))]

    def end_sessions(self):
        """Ends whatever an earlier test left on the server, and who was about to log in."""
        def none_left():
            self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> '%s'" % SUPERUSER)
            return not self.server_pids()

        wait_until(none_left, what="end of the sessions of earlier tests")

    def await_active(self, marker, count=1):
        """Waits until `count` sessions run a statement that contains marker, and are where it stands: in pg_sleep() or before a
        lock. Until then it may still be planned, and who ends it gets less of an answer than later."""
        statement = ("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%%%s%%'"
                     % marker)
        if count > 0:
            statement += " AND wait_event_type IN ('Timeout', 'Lock')"
        wait_until(lambda: int(self.value(statement)) == count, what="%d running statements with %r" % (count, marker))


class Door:
    """What queries stand before until the test opens it: a table that somebody has locked."""

    def __init__(self, postgres):
        postgres.sql("CREATE TABLE IF NOT EXISTS door AS SELECT 1; GRANT ALL ON door TO PUBLIC")
        self.holder = postgres.connect_admin()
        self.close()

    @staticmethod
    def query(columns):
        return wireclient.query("SELECT %s FROM door" % columns)

    def close(self):
        self.holder.ask("BEGIN; LOCK TABLE door")

    def open(self):
        self.holder.ask("COMMIT")


# ---- TOML ----------------------------------------------------------------------------------------------------------


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def toml(tables):
    """{"general": {...}, "databases": [{...}, ...]} as TOML text. Values of None are left out."""
    lines = []
    for name, content in tables.items():
        for entry in content if isinstance(content, list) else [content]:
            lines.append("[[%s]]" % name if isinstance(content, list) else "[%s]" % name)
            lines += ["%s = %s" % (key, toml_value(value)) for key, value in entry.items() if value is not None]
            lines.append("")
    return "\n".join(lines)


# ---- the poolers ---------------------------------------------------------------------------------------------------

# Limits that a slow machine might pass, and a test that is not about them must not meet.
UNHURRIED = {"checkout_timeout": 60000, "connect_timeout": 30000, "healthcheck_timeout": 30000, "rollback_timeout": 30000}

ADMIN = {"name": "admin", "user": "admin", "password": "admin secret"}


class Pooler:
    """What stands between client and server. Subclasses say how it is started.

    databases: list of rows for [[databases]]; users: list of rows for [[users]]; general: keys of [general]."""

    name = None

    def __init__(self, postgres, general=None, databases=None, users=None, env=None):
        self.postgres = postgres
        self.host = "127.0.0.1"
        self.port = None
        self.general = dict(general or {})
        self.databases = databases if databases is not None else [database_row(postgres)]
        self.users = users if users is not None else [user_row(name) for name in ROLES]
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("PGRING", "PGDOG", "RUST_LOG"))}
        self.env.update(env or {})
        self.process = None
        self.clients = []
        self.descriptors = None
        self.owner = None
        self.directory = None

    # -- life

    def start(self):
        for _ in range(3):
            self.port = free_port(self.host)
            self.process = Process(self.command(), os.path.join(self.directory.path, "log"), self.env, self.directory.path, self.descriptors)
            try:
                wait_until(self._accepts, START_TIMEOUT_S, "the start of " + self.name)
                return self
            except ChildProcessError:
                if "in use" not in self.log():
                    raise
        raise RuntimeError("no free port")

    def _accepts(self):
        if not self.process.alive():
            raise ChildProcessError("%s ended with %s:\n%s" % (self.name, self.process.popen.returncode, self.log()[-4000:]))
        try:
            self._probe()
            if "unix_socket_dir" in self.general:  # which it opens last
                wireclient.Wire(os.path.join(self.general["unix_socket_dir"], ".s.PGSQL.%d" % self.port)).close()
            return True
        except OSError:
            return False

    def _probe(self):
        """A connection, and its end on both sides: nobody shall count it as a client of his."""
        with socket.create_connection((self.host, self.port), PATIENCE_S) as sock:
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)

    def finish(self):
        """The end of each test: closes its clients, ends the pooler gently and looks for traces of harm."""
        try:
            for client in self.clients:
                client.drop()
            if self.process is None:
                return
            if self.process.alive():
                self.process.signal(signal.SIGTERM)
                status = self.process.wait()
                if status is None:
                    self.process.kill()
                    raise AssertionError("%s did not end within %d s after SIGTERM:\n%s"
                                         % (self.name, STOP_TIMEOUT_S, self.log()[-4000:]))
            else:
                status = self.process.popen.returncode
            self.check(status)
        finally:
            if self.process is not None and self.process.alive():
                self.process.kill()
            self.directory.remove()

    def check(self, status):
        log = self.log()
        for word in BAD_LOG_WORDS:
            if word in log:
                at = log.index(word)
                raise AssertionError("%r in the log of %s:\n%s" % (word, self.name, log[max(0, at - 1000):at + 4000]))
        if status != 0:
            raise AssertionError("%s ended with status %s:\n%s" % (self.name, status, log[-4000:]))

    # -- use

    @property
    def address(self):
        return self.host, self.port

    @property
    def socket_path(self):
        """With general.unix_socket_dir = pooler.directory.path."""
        return os.path.join(self.directory.path, ".s.PGSQL.%d" % self.port)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.process.log()

    def connect(self, user=USER, password=None, database=DATABASE, **options):
        """A logged-in client that is closed at the end of the test. password None: the right one."""
        if password is None:
            password = ROLES[user][0] if user in ROLES else None
        client = wireclient.connect(options.pop("address", self.address), user, password, database, **options)
        self.clients.append(client)
        return client

    def wire(self, address=None, **options):
        """A bare connection, nothing sent yet."""
        client = wireclient.Wire(address or self.address, **options)
        self.clients.append(client)
        return client

    def dsn(self, user=USER, database=DATABASE, more=""):
        return "host=%s port=%d user=%s password='%s' dbname=%s sslmode=disable %s" % (
            self.host, self.port, user, ROLES[user][0], database, more)

    def rss_kb(self, which="VmRSS"):
        """Resident memory; which="VmHWM" is the most that it ever was."""
        with open("/proc/%d/status" % self.pid) as file:
            return int(next(line for line in file if line.startswith(which + ":")).split()[1])

    def cpu_ns_of_threads(self):
        """{thread id: nanoseconds on a CPU}"""
        folder = "/proc/%d/task" % self.pid
        used = {}
        for thread in os.listdir(folder):
            with open("%s/%s/schedstat" % (folder, thread)) as file:
                used[thread] = int(file.read().split()[0])
        return used

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


    def cpu_share(self, seconds=1.0):
        """How much of a CPU it uses from now on, for so long."""
        began, used = time.monotonic(), sum(self.cpu_ns_of_threads().values())
        time.sleep(seconds)
        return (sum(self.cpu_ns_of_threads().values()) - used) / 1e9 / (time.monotonic() - began)

    def must_rest(self, share):
        """Nobody wants anything of it: who does not spin uses no more of a CPU than that, once it has done what was left to do."""
        wait_until(lambda: self.cpu_share() < share, what="a second with less than %g of a CPU" % share)


def database_row(postgres, name=DATABASE, **more):
    row = {"name": name, "host": postgres.host, "port": postgres.port, "database_name": DATABASE}
    row.update(more)
    return row


def user_row(name=USER, database=DATABASE, **more):
    row = {"name": name, "password": ROLES[name][0] if name in ROLES else None, "database": database}
    row.update(more)
    return row


class Pgring(Pooler):
    name = "pgring"

    def __init__(self, postgres, general=None, databases=None, users=None, admin=None, sections=None, env=None):
        """sections: further tables for pgring.toml."""
        super().__init__(postgres, general, databases, users, env)
        self.directory = Directory()
        self.admin = dict(ADMIN, **(admin or {}))
        self.sections = sections or {}

    def configuration(self):
        general = {"host": self.host, "port": self.port, "workers": WORKERS, "default_pool_size": 10, "min_pool_size": 0,
                   "pooler_mode": "transaction", "shutdown_timeout": 2000, "healthcheck_interval": 30000}
        general.update(UNHURRIED)
        general.update(self.general)
        tables = {"general": general, "admin": self.admin, "databases": self.databases}
        tables.update(self.sections)
        return tables

    def write(self):
        """Writes both files; call it again (then send SIGHUP) after changing general, databases or users."""
        return (self.directory.write("pgring.toml", toml(self.configuration())),
                self.directory.write("users.toml", toml({"users": self.users})))

    def command(self):
        main, users = self.write()
        return [BINARY, "-c", main, "-u", users]

    def console(self, **options):
        return self.connect(self.admin["user"], self.admin["password"], self.admin["name"], **options)


SECONDS = {"checkout_timeout": "query_wait_timeout", "idle_timeout": "server_idle_timeout", "server_lifetime": "server_lifetime",
           "client_login_timeout": "client_login_timeout", "client_idle_timeout": "client_idle_timeout",
           "connect_timeout": "server_connect_timeout", "query_timeout": "query_timeout",
           "client_idle_in_transaction_timeout": "idle_transaction_timeout"}
SAME = {"default_pool_size": "default_pool_size", "min_pool_size": "min_pool_size", "pooler_mode": "pool_mode"}


class PgBouncer(Pooler):
    """The incumbent, as far as the configuration can be translated: to see which tests are right about it."""

    name = "pgbouncer"

    def __init__(self, postgres, general=None, databases=None, users=None, admin=None, sections=None, env=None):
        super().__init__(postgres, general, databases, users, env)
        self.owner = unprivileged_user()
        self.directory = Directory(self.owner)
        self.admin = dict(ADMIN, name="pgbouncer", **(admin or {}))

    def command(self):
        general = dict({"default_pool_size": 10, "pooler_mode": "transaction"}, **self.general)
        auth = {"scram": "scram-sha-256"}.get(general.get("auth_type", "scram"), general.get("auth_type"))
        lines = ["[databases]"]
        for row in self.databases:
            lines.append("%s = host=%s port=%d dbname=%s" % (row["name"], row["host"], row["port"], row.get("database_name", row["name"])))
        lines += ["[pgbouncer]", "listen_addr = " + self.host, "listen_port = %d" % self.port, "unix_socket_dir = " + self.directory.path,
                  "auth_type = " + auth, "auth_file = " + os.path.join(self.directory.path, "users.txt"), "max_client_conn = 5000",
                  "admin_users = admin", "ignore_startup_parameters = extra_float_digits,options", "server_login_retry = 0.1",
                  "client_tls_sslmode = disable", "server_tls_sslmode = disable"]
        lines += ["%s = %s" % (other, general[key]) for key, other in SAME.items() if key in general]
        lines += ["%s = %g" % (other, general[key] / 1000) for key, other in SECONDS.items() if key in general]
        users = ['"%s" "%s"' % (row["name"], row.get("password") or row.get("password_hash") or "") for row in self.users]
        self.directory.write("users.txt", "\n".join(users + ['"admin" "%s"' % self.admin["password"]]) + "\n")
        self.directory.write("pgbouncer.ini", "\n".join(lines) + "\n")
        binary = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        return as_user(self.owner) + [binary, os.path.join(self.directory.path, "pgbouncer.ini")]

    def console(self, **options):
        return self.connect("admin", self.admin["password"], "pgbouncer", **options)

    def check(self, status):
        super().check(0 if status == 1 else status)  # it ends with 1 after SIGTERM


class Direct(Pooler):
    """No pooler at all: PostgreSQL compared with itself."""

    name = "direct"

    def __init__(self, postgres, **_ignored):
        super().__init__(postgres)
        self.port = postgres.port
        self.process = None

    def start(self):
        return self

    def finish(self):
        for client in self.clients:
            client.drop()


POOLERS = {"pgring": Pgring, "pgbouncer": PgBouncer, "direct": Direct}


def binary_is_sanitized():
    """Memory bounds mean nothing under a sanitizer."""
    with open(BINARY, "rb") as file:
        content = file.read()
    return b"__asan_init" in content or b"__tsan_init" in content


def must_have_binary():
    if TARGET == "pgring" and not os.access(BINARY, os.X_OK):
        sys.exit("wire: %s does not exist: build it, or name the binary in PGRING" % BINARY)
