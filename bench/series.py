"""What is measured: one row of the table each, and what pgring should reach in it.

A target is pgring's figure as a share of PgBouncer's in the same run (ratios travel between machines, absolute figures do not).
On a unix socket it is compared with PgBouncer on the same socket. None of them allows more than a tenth above the bare relay.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    unit: str                # us/tx, s/GB or B/client
    load: tuple              # options of bench/load
    target: float = None     # share of PgBouncer's figure; None: for information
    transport: str = 'tcp'   # to the server
    auth: str = 'trust'
    idle: bool = False
    floors: bool = True      # a relay makes sense here


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
    Row('prepared-16', 'prepared, 16 clients', 'us/tx', small('prepared', 16), 0.71),
    Row('prepared-64', 'prepared, 64 clients', 'us/tx', small('prepared', 64), 0.56),
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
    Row('connect', 'connect, query, close, trust', 'us/tx', small('connect', 8, '--ask-ssl'), 1.0,
        floors=False),
    Row('connect-scram', 'connect, query, close, SCRAM', 'us/tx', small('connect', 8, '--ask-ssl'), 0.81,
        auth='scram', floors=False),
    Row('idle', 'idle clients', 'B/client', ('--mode', 'idle'), 1.0, idle=True, floors=False),
    Row('idle-query', 'idle clients after one query', 'B/client',
        ('--mode', 'idle', '--touch', 'simple'), 1.0, idle=True, floors=False),
    Row('idle-prepared', 'idle clients after one prepared statement', 'B/client',
        ('--mode', 'idle', '--touch', 'prepared'), 1.0, idle=True, floors=False),
]


def chosen(pattern):
    return [row for row in ROWS if not pattern or re.search(pattern, row.name)]
