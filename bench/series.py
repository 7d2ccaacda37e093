"""What is measured: one row of the table each, and what pgring should reach in it.

A target is pgring's figure as a share of PgBouncer's in the same run (ratios travel between machines, absolute figures do not).
On a unix socket it is compared with PgBouncer on the same socket. None of them allows more than a tenth above the bare relay.
A row with cases compares pgring with itself: the target is a share of another case's figure. Few targets are absolute.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One contestant of a row, if these are not simply all poolers."""
    name: str
    pooler: str = 'pgring'
    load: tuple = None       # None: the row's
    workers: int = 1
    stuck: int = 0           # so many other clients ask for much and do not read it
    reload: bool = False     # the configuration is read again and again meanwhile
    general: str = ''        # lines for pgring's [general]


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    unit: str                # us/tx, s/GB, B/client, us or ms
    load: tuple              # options of bench/load
    target: float = None     # share of the base's figure; None: for information
    transport: str = 'tcp'   # to the server
    auth: str = 'trust'
    kind: str = 'load'       # load, idle or crowd: how it is measured
    floors: bool = True      # a relay makes sense here
    cases: tuple = ()
    subject: str = 'pgring'  # whose figure the target is for
    base: str = 'PgBouncer'
    most: float = None       # the figure is at most this, whatever the base's
    cpu_most: float = None   # idle rows: of a core
    more: float = 0.0        # what the target allows on top of the share
    databases: int = 1       # in the configuration
    exact: bool = False      # the target is that nothing is lost or wrong

    @property
    def idle(self):
        return self.kind != 'load'


def small(mode, clients, *more):
    return ('--mode', mode, '--connections', str(clients), *more)


def bulk(mode, row_bytes):
    return ('--mode', mode, '--connections', '1', '--row-bytes', str(row_bytes),
            '--bytes', '50000000')


ROWS = [
    Row('simple-16', 'simple, 16 clients', 'us/tx', small('simple', 16), 0.90),
    Row('simple-64', 'simple, 64 clients', 'us/tx', small('simple', 64), 0.72),
    Row('extended-16', 'extended, 16 clients', 'us/tx', small('extended', 16), 0.90),
    Row('extended-64', 'extended, 64 clients', 'us/tx', small('extended', 64), 0.72),
    Row('prepared-16', 'prepared, 16 clients', 'us/tx', small('prepared', 16), 0.70),
    Row('prepared-64', 'prepared, 64 clients', 'us/tx', small('prepared', 64), 0.55),
    Row('unix-64', 'simple, 64 clients, unix socket to the server', 'us/tx',
        small('simple', 64), 0.80, transport='unix'),
    Row('transaction-64', 'BEGIN, simple, COMMIT, 64 clients', 'us/tx',
        small('simple', 64, '--transaction')),
    Row('rate-64', 'simple, 64 clients, 20 000 requests/s', 'us/tx',
        small('simple', 64, '--rate', '20000')),
    Row('copy-out', 'COPY out, values of 100 bytes', 's/GB', bulk('copy-out', 100), 0.35),
    Row('rows-100', 'SELECT, rows of 100 bytes', 's/GB', bulk('rows', 100)),
    Row('rows-1M', 'SELECT, rows of 1 MB', 's/GB', bulk('rows', 1000000), 0.18),
    Row('copy-in', 'COPY in, values of 100 bytes', 's/GB', bulk('copy-in', 100), 0.45),
    Row('connect', 'connect, query, close, trust', 'us/tx', small('connect', 8, '--ask-ssl'), 0.70,
        floors=False),
    Row('connect-scram', 'connect, query, close, SCRAM', 'us/tx', small('connect', 8, '--ask-ssl'), 0.80,
        auth='scram', floors=False),
    Row('connect-secret', 'connect, query, close, SCRAM, the secret is stored', 'us/tx', small('connect', 8, '--ask-ssl'), 0.80,
        auth='secret', floors=False),
    Row('idle', 'idle clients', 'B/client', ('--mode', 'idle'), kind='idle', floors=False, most=1024, cpu_most=0.001),
    Row('idle-query', 'idle clients after one query', 'B/client',
        ('--mode', 'idle', '--touch', 'simple'), kind='idle', floors=False, most=1024, cpu_most=0.001),
    Row('idle-prepared', 'idle clients after one prepared statement', 'B/client',
        ('--mode', 'idle', '--touch', 'prepared'), kind='idle', floors=False, most=1331, cpu_most=0.001),
    Row('crowd', '5000 clients connect at once and make a query; cost: until all are served', 'ms',
        ('--mode', 'idle', '--touch', 'simple', '--at-once', '5000'), kind='crowd', floors=False, most=3000),
    *(Row(f'workers-{mode}-64', f'{mode}, 64 clients, 2 workers on 2 CPUs against 1 on 1', 'us/tx', small(mode, 64), 1.05,
          cases=(Case('pgring'), Case('2 workers', workers=2)), subject='2 workers', base='pgring')
      for mode in ('simple', 'extended')),
    *(Row(f'prepared-simple-{clients}', f'prepared against simple, {clients} clients', 'us/tx', small('simple', clients), 1.10,
          cases=(Case('simple'), Case('prepared', load=small('prepared', clients))), subject='prepared', base='simple')
      for clients in (16, 64)),
    Row('settings-64', 'simple, 64 clients, each with a setting of its own, against the same without', 'us/tx',
        small('simple', 64), 1.35, subject='pgring own', base='pgring',
        cases=(Case('pgring'), Case('pgring own', load=small('simple', 64, '--own-settings')), Case('PgBouncer', pooler='PgBouncer'),
               Case('PgB. own', pooler='PgBouncer', load=small('simple', 64, '--own-settings')))),
    Row('turns-64', 'one pool, and 64 clients of each of 2 cores that work in turns of 10 ms: the servers are always on the other core; '
        'against a pool for each core', 'us/tx', small('simple', 384, '--turns', '10'), 1.10, databases=3,
        cases=(Case('own pools', load=small('simple', 384, '--turns', '10', '--own-pools', 'filler2'), workers=2), Case('one pool', workers=2)),
        subject='one pool', base='own pools'),
    Row('limits-64', 'simple, 64 clients, under max_db_connections and max_user_connections, against the same without', 'us/tx',
        small('simple', 64), 1.02, subject='limits', base='pgring',
        cases=(Case('pgring'), Case('limits', general='max_db_connections = 20\nmax_user_connections = 20'))),
    Row('stuck-16', 'p99 of 16 clients while 50 others do not read 100 MB each, against quiet', 'us', small('simple', 16), 2.0,
        cases=(Case('quiet'), Case('stuck', stuck=50), Case('PgB. quiet', pooler='PgBouncer'), Case('PgB. stuck', pooler='PgBouncer', stuck=50)),
        subject='stuck', base='quiet'),
    Row('reload-16', 'p99 of 16 clients at 5 000 requests/s while 1000 databases are loaded again, against quiet', 'us',
        small('simple', 16, '--rate', '5000'), 1.0, databases=1000, more=5000,
        cases=(Case('quiet'), Case('reload', reload=True), Case('PgB. quiet', pooler='PgBouncer'), Case('PgB. reload', pooler='PgBouncer', reload=True)),
        subject='reload', base='quiet'),
]


def chosen(pattern):
    return [row for row in ROWS if not pattern or re.search(pattern, row.name)]
