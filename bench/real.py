"""In front of a real PostgreSQL, with pgbench. Nobody has a CPU of his own here: PostgreSQL and pgbench need more than one, and a
pooler that waits for them alone on its CPU would be measured going to sleep and waking up."""

import getpass
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import fanout
import report
from poolers import Server, free_port
from processes import Child, Failure, unprivileged_user

SCALE = 10
CLIENTS = (16, 64, 1000)
MODES = ('simple', 'extended', 'prepared')
FANOUT = 1000, 1000  # listeners, notifications


def find(name):
    path = shutil.which(name)
    if path:
        return os.path.abspath(path)
    found = sorted(glob.glob(f'/usr/lib/postgresql/*/bin/{name}'),
                   key=lambda place: int(place.split('/')[4]))
    if not found:
        raise Failure(f'there is no {name} in PATH or /usr/lib/postgresql')
    return found[-1]


def call(command, user, **more):
    identity = {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': []} if user else {}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                            **identity, **more)
    if answer.returncode != 0:
        raise Failure(f'{os.path.basename(command[0])}: {answer.stderr.strip()}')
    return answer.stdout


def start_postgres(bench):
    """A fresh cluster in the bench's folder; everybody on this machine is trusted."""
    user = unprivileged_user()
    name = user.pw_name if user else getpass.getuser()
    folder, port = os.path.join(bench.folder, 'postgres'), free_port()
    os.makedirs(folder)
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    call([find('initdb'), '-D', f'{folder}/data', '-A', 'trust', '-U', name, '--no-sync'], user,
         cwd=folder)
    settings = {'port': port, 'listen_addresses': '127.0.0.1', 'unix_socket_directories': folder,
                'fsync': 'off', 'max_connections': 100, 'shared_buffers': '256MB',
                'autovacuum': 'off', 'jit': 'off'}
    words = [word for key, value in settings.items() for word in ('-c', f'{key}={value}')]
    child = Child('postgres', [find('postgres'), '-D', f'{folder}/data', *words], cpu=bench.cpus(),
                  user=user, log=f'{bench.folder}/postgres.log', end=signal.SIGINT,
                  death=signal.SIGQUIT, cwd=folder, priority=bench.priority)
    server = Server(port, folder, user=name, database='postgres')
    pgbench = [find('pgbench'), '-h', '127.0.0.1', '-p', str(port), '-U', name]
    for attempt in range(100):
        try:
            call([*pgbench, '-i', '-q', '-s', str(SCALE), 'postgres'], None)
            return child, server
        except Failure as failure:
            if not child.alive() or attempt == 99 or 'connection' not in str(failure):
                raise Failure(f'PostgreSQL does not start: {failure}\n{child.log_tail()}') from None
            time.sleep(0.1)
    raise Failure('PostgreSQL does not start')


def pgbench_once(bench, pooler, server, mode, clients):
    """pgbench -S through the pooler. CPU from before the first login to after the last answer."""
    command = [find('pgbench'), '-n', '-S', '-M', mode, '-c', clients, '-j', 1, '-T',
               max(1, round(bench.seconds)), '-h', '127.0.0.1', '-p', pooler.port, '-U',
               server.user, server.database]
    cpu_ns = pooler.child.cpu_ns()
    client = Child('pgbench', command, cpu=bench.cpus(), stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE, priority=bench.priority)
    output, errors = client.process.communicate(timeout=bench.seconds + 120)
    cpu_ns = pooler.child.cpu_ns() - cpu_ns
    client.stop()
    text = output.decode()
    done = re.search(r'actually processed: (\d+)', text)
    failed = re.search(r'failed transactions: (\d+)', text)
    rate = re.search(r'tps = ([\d.]+)', text)
    latency = re.search(r'latency average = ([\d.]+)', text)
    if not done or not int(done.group(1)):
        raise Failure(f'{pooler.name}: pgbench: {errors.decode().strip()[-500:]}')
    return {
        'cost': cpu_ns / 1e3 / int(done.group(1)), 'rate': float(rate.group(1)),
        'p50_us': float(latency.group(1)) * 1e3, 'foreign_cpus': 0.0,
        'errors': int(failed.group(1)) if failed else 0, 'wrong': 0,
        'lost': int(client.process.returncode != 0), 'problem': errors.decode().strip()[-200:]
        if client.process.returncode else '',
    }


class PgbenchRow:
    unit, target, most, cpu_most, more, exact = 'us/tx', None, None, None, 0, False
    subject, base = 'pgring', 'PgBouncer'

    def __init__(self, mode, clients):
        self.name = f'pgbench-{mode}-{clients}'
        self.title = f'pgbench -S -M {mode}, {clients} clients, real PostgreSQL (p50: the mean)'
        self.mode, self.clients, self.load = mode, clients, (mode,)


def pgbench_rows():
    return [PgbenchRow(mode, clients) for mode in MODES for clients in CLIENTS]


def run(bench, args, wanted):
    postgres, server = start_postgres(bench)
    wanted = [pooler for pooler in wanted if not pooler.floor]
    results = {'environment': report.environment(bench, args, wanted), 'rows': {}}
    started = []
    try:
        for pooler in wanted:
            pooler.start(os.path.join(bench.folder, pooler.name), server, cpu=bench.cpus(),
                         priority=bench.priority)
            started.append(pooler)
        for row in pgbench_rows():
            if args.only and not re.search(args.only, row.name):
                continue
            able = [pooler for pooler in started if pooler.supports(row)]
            cells = {pooler.name: [] for pooler in able}
            for number in range(args.rounds):
                for turn in range(len(able)):
                    pooler = able[(turn + number) % len(able)]
                    try:
                        cells[pooler.name].append(pgbench_once(bench, pooler, server, row.mode, row.clients))
                    except Failure as failure:
                        print(f'\n{row.name}: {failure}')
            cells = {name: rounds for name, rounds in cells.items() if rounds}
            if not cells:
                continue
            summaries = {name: report.summary(rounds) for name, rounds in cells.items()}
            report.print_row(row, summaries, {})
            results['rows'][row.name] = {'title': row.title, 'unit': row.unit, 'summary': summaries,
                                         'rounds': cells}
        run_fanout(args, started, server, results)
    finally:
        for pooler in started:
            pooler.stop()
        postgres.stop()
    return results


def run_fanout(args, started, server, results):
    row = fanout.FanoutRow(*FANOUT)
    if args.only and not re.search(args.only, row.name):
        return
    cells = {}
    for pooler in started:
        if pooler.name == 'PgBouncer':
            continue  # it has no LISTEN in transaction mode
        try:
            cells[pooler.name] = [fanout.measure(row, pooler, server) for _ in range(args.rounds)]
        except Failure as failure:
            print(f'\n{row.name}: {failure}')
    summaries = {name: report.summary(rounds) for name, rounds in cells.items()}
    if summaries:
        report.print_row(row, summaries, {})
        results['rows'][row.name] = {'title': row.title, 'unit': row.unit, 'summary': summaries, 'rounds': cells}
