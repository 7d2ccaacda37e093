"""The poolers and the floor: how each is configured and started. Pool of 20 in transaction mode, one core."""

import base64
import copy
import hashlib
import hmac
import os
import re
import shutil
import socket
import subprocess
import time

from processes import Child, Failure, unprivileged_user

POOL = 20
POOL_OF_OTHERS = 5
ADMIN = 'admin'
OTHERS = 'others'  # the database of those who do not read, with a pool of its own
CLIENTS_MAX = 20000
USER = DATABASE = PASSWORD = 'bench'
NEWLINE = '\n'


class Server:
    """Where the poolers' servers are."""

    def __init__(self, port, unix_dir=None, host='127.0.0.1', user=USER, database=DATABASE):
        self.port, self.unix_dir, self.host = port, unix_dir, host
        self.user, self.database = user, database

    def place(self, transport):
        """As libpq's host: an address or a socket's directory."""
        return self.unix_dir if transport == 'unix' else self.host

    def endpoint(self, transport):
        """As the programs of bench/ want it."""
        if transport == 'unix':
            return f'{self.unix_dir}/.s.PGSQL.{self.port}'
        return f'{self.host}:{self.port}'


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def stored(auth):
    """The password as the poolers' files hold it: plain, or the secret that PostgreSQL stores."""
    if auth != 'secret':
        return PASSWORD
    salt, rounds = b'bench bench salt', 4096
    salted = hashlib.pbkdf2_hmac('sha256', PASSWORD.encode(), salt, rounds)
    keys = (hashlib.sha256(hmac.digest(salted, b'Client Key', 'sha256')).digest(), hmac.digest(salted, b'Server Key', 'sha256'))
    words = [base64.b64encode(part).decode() for part in (salt, *keys)]
    return f'SCRAM-SHA-256${rounds}:{words[0]}${words[1]}:{words[2]}'


def write(path, text):
    with open(path, 'w') as file:
        file.write(text)


class Pooler:
    """One of them, started and stopped for each row of the table."""

    floor = False
    name = None

    def __init__(self, binary):
        self.binary = binary
        self.child = None
        self.port = None
        self.case = None     # of a row, if it has some
        self.databases = 1
        self.cores = 1       # in rows without cases

    def as_case(self, case):
        """Itself as one of a row's cases."""
        other = copy.copy(self)
        other.case = case
        return other

    @property
    def label(self):
        return self.case.name if self.case else self.name

    @property
    def workers(self):
        return self.case.workers if self.case else self.cores

    def load_of(self, row):
        return self.case.load if self.case and self.case.load else row.load

    def database_names(self, server):
        """The one that is measured, the one of those who do not read, and what only fills the configuration."""
        return [server.database, OTHERS, *(f'filler{i}' for i in range(2, self.databases))]

    def version(self):
        try:
            answer = subprocess.run([self.binary, '--version'], capture_output=True, text=True,
                                    timeout=10, check=False)
            return (answer.stdout or answer.stderr).strip().split('\n')[0]
        except (OSError, subprocess.TimeoutExpired):
            return 'unknown'

    def command(self, folder, server, transport, auth):
        """Writes the configuration into `folder` and returns the command."""
        raise NotImplementedError

    def supports(self, row):
        return True

    def user(self):
        return None

    def options(self):
        return {}

    def console(self):
        """Database and user of the console."""
        return 'pgbouncer', ADMIN

    def start(self, folder, server, transport='tcp', auth='trust', cpu=None, priority=False, databases=1):
        self.port = free_port()
        self.databases = databases
        os.makedirs(folder)
        command = self.command(folder, server, transport, auth)
        user = self.user()
        if user:
            for path, _, files in os.walk(folder):
                for entry in [path, *(os.path.join(path, name) for name in files)]:
                    os.chown(entry, user.pw_uid, user.pw_gid)
        self.child = Child(self.name, command, cpu=cpu, user=user, priority=priority,
                           log=os.path.join(folder, 'log'), cwd=folder, **self.options())
        self.wait_ready()

    def wait_ready(self):
        end = time.monotonic() + 15
        while time.monotonic() < end and self.child.alive():
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f'{self.name} does not start:\n{self.child.log_tail()}')

    def stop(self):
        if self.child:
            self.child.stop()
        self.child = None


class Relay(Pooler):
    """The floor."""

    name = 'relay'
    floor = True
    extra = ()

    def version(self):
        return 'bench/relay'

    def command(self, folder, server, transport, auth):
        return [self.binary, '--to', server.endpoint(transport), '--listen',
                f'127.0.0.1:{self.port}', *self.extra]


class RelayUring(Relay):
    name = 'relay-uring'
    extra = ('--uring', '--congestion', 'cubic')


class PgBouncer(Pooler):
    name = 'PgBouncer'

    def keeps_prepared(self):
        """Since 1.21."""
        found = re.search(r'(\d+)\.(\d+)', self.version())
        return bool(found) and (int(found[1]), int(found[2])) >= (1, 21)

    def supports(self, row):
        return self.keeps_prepared() or 'prepared' not in row.load

    def user(self):
        return unprivileged_user()  # it refuses to run as root

    def extra(self, database):
        return f'pool_size={POOL_OF_OTHERS}' if database == OTHERS else ''

    def command(self, folder, server, transport, auth):
        auth_type = {'trust': 'trust', 'scram': 'scram-sha-256', 'secret': 'scram-sha-256'}[auth]
        write(f'{folder}/users.txt', f'"{server.user}" "{stored(auth)}"\n"{ADMIN}" "{PASSWORD}"\n')
        place = f'host={server.place(transport)} port={server.port}'
        rows = [f'{name} = {place} {self.extra(name)}' for name in self.database_names(server)]
        write(f'{folder}/pgbouncer.ini', f'''\
[databases]
{NEWLINE.join(rows)}
[pgbouncer]
admin_users = {ADMIN}
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {POOL}
max_client_conn = {CLIENTS_MAX}
{'max_prepared_statements = 200' if self.keeps_prepared() else ''}
auth_type = {auth_type}
auth_file = {folder}/users.txt
log_connections = 0
log_disconnections = 0
log_stats = 0
''')
        return [self.binary, f'{folder}/pgbouncer.ini']


def toml_files(folder, general, server, names, transport, auth):
    """The two files that pgring and PgDog share."""
    auth_type = {'trust': 'trust', 'scram': 'scram', 'secret': 'scram'}[auth]
    databases = [f'''
[[databases]]
name = "{name}"
host = "{server.place(transport)}"
port = {server.port}
database_name = "{server.database}"
{f'pool_size = {POOL_OF_OTHERS}' if name == OTHERS else ''}''' for name in names]
    write(f'{folder}/pooler.toml', f'''\
[general]
host = "127.0.0.1"
default_pool_size = {POOL}
min_pool_size = 0
pooler_mode = "transaction"
auth_type = "{auth_type}"
log_connections = false
log_disconnections = false
{general}
[admin]
name = "{ADMIN}"
user = "{ADMIN}"
password = "{PASSWORD}"
{NEWLINE.join(databases)}
''')
    write(f'{folder}/users.toml', ''.join(f'''\
[[users]]
name = "{server.user}"
database = "{name}"
password = "{stored(auth)}"
''' for name in names))
    return ['-c', f'{folder}/pooler.toml', '-u', f'{folder}/users.toml']


class Pgring(Pooler):
    name = 'pgring'

    def command(self, folder, server, transport, auth):
        more = self.case.general if self.case else ''
        return [self.binary, *toml_files(folder, f'port = {self.port}\nworkers = {self.workers}\n'
                                         f'unix_socket_dir = "{folder}"\n{more}', server,
                                         self.database_names(server), transport, auth)]

    def console(self):
        return ADMIN, ADMIN


class PgDog(Pooler):
    name = 'PgDog'

    def supports(self, row):
        return row.transport == 'tcp'

    def command(self, folder, server, transport, auth):
        return [self.binary, *toml_files(folder, f'port = {self.port}\nworkers = 0', server,
                                         self.database_names(server), transport, auth)]

    def options(self):
        return {'env': {**os.environ, 'RUST_LOG': 'error'}}


class Odyssey(Pooler):
    name = 'Odyssey'

    def command(self, folder, server, transport, auth):
        login = {'trust': 'authentication "none"',
                 'scram': f'authentication "scram-sha-256"\n    password "{PASSWORD}"',
                 'secret': f'authentication "scram-sha-256"\n    password "{stored(auth)}"'}[auth]
        place = f'host "{server.host}"' if transport == 'tcp' else ''
        sockets = f'unix_socket_dir "{server.unix_dir}"\nunix_socket_mode "0644"' if transport == 'unix' else ''
        write(f'{folder}/odyssey.conf', f'''\
daemonize no
workers 1
log_to_stdout yes
log_format "%p %t %l [%i %s] (%c) %m\\n"
log_debug no
log_config no
log_session no
log_query no
log_stats no
client_max {CLIENTS_MAX}
locks_dir "{folder}"
{sockets}
listen {{
  host "127.0.0.1"
  port {self.port}
  backlog 1024
}}
storage "server" {{
  type "remote"
  {place}
  port {server.port}
}}
database "{server.database}" {{
  user "{server.user}" {{
    {login}
    storage "server"
    pool "transaction"
    pool_size {POOL}
    pool_reserve_prepared_statement yes
  }}
}}
''')
        return [self.binary, f'{folder}/odyssey.conf']


def find(name, *places):
    """A binary from the environment, or from the given places; a place without a folder is looked for in PATH."""
    value = os.environ.get(name.upper())
    for place in [value] if value else places:
        path = shutil.which(place)
        if path:
            return os.path.abspath(path)
    if value:
        raise Failure(f'{name.upper()}={value}: there is no such program')
    return None


def available(build, wanted, workers=1):
    """The poolers to compare, those that were built or found. `wanted`: their names, or None for all. `workers` are pgring's."""
    programs = [
        (Relay, f'{build}/bench/relay'), (RelayUring, f'{build}/bench/relay'),
        (PgBouncer, find('pgbouncer', 'pgbouncer', '/usr/sbin/pgbouncer')),
        (Pgring, find('pgring', f'{build}/pgring')),
        (Odyssey, os.environ.get('ODYSSEY') and find('odyssey')),
        (PgDog, os.environ.get('PGDOG') and find('pgdog')),
    ]
    found = [kind(path) for kind, path in programs
             if path and os.path.exists(path) and (not wanted or kind.name.lower() in wanted)]
    for pooler in found:
        if isinstance(pooler, Pgring):
            pooler.cores = workers
    return found
