"""One figure: one pooler, one row of the table, one round."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

from poolers import Server
from processes import Child, Failure, busy_ns, first_line_number, kernel_bytes, memory_bytes, process_cpu_ns

FOREIGN_MAX = 0.10  # CPUs that others use beside us before a round is measured again
RETRIES = 3
CHEAP_TCP = ('--congestion', 'cubic')  # of the peers: BBR would pace them on loopback, too


class Bench:
    """Where the programs are, which CPUs they get, how long they run."""

    def __init__(self, args, folder):
        self.programs = os.path.join(args.build, 'bench')
        self.pooler_cpu, self.peer_cpu = args.cpu_pooler, args.cpu_load
        self.seconds, self.warm_up = args.seconds, args.warm_up
        self.idle_clients, self.priority = args.idle_clients, args.priority
        self.folder = folder
        for name in ('load', 'null_server', 'relay'):
            if not os.path.exists(os.path.join(self.programs, name)):
                raise Failure(f'{self.programs}/{name} is not there: build first (ninja -C {args.build})')

    def program(self, name):
        return os.path.join(self.programs, name)

    def cpus(self):
        return {self.pooler_cpu, self.peer_cpu}

    def socket_folder(self):
        folder = os.path.join(self.folder, 'server')
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        return folder

    def start_server(self, *options):
        """The null server by itself, on TCP and on a unix socket."""
        return self.start_listening('null_server', [self.program('null_server'), *options])

    def start_listening(self, name, command, **more):
        folder = self.socket_folder()
        child = Child(name, [*command, '--unix-dir', folder, '--cpu', self.peer_cpu, '--lifetime',
                             7200, *CHEAP_TCP],
                      stdout=subprocess.PIPE, log=os.path.join(self.folder, f'{name}.log'),
                      priority=self.priority, **more)
        port = first_line_number(child)
        os.chmod(f'{folder}/.s.PGSQL.{port}', 0o777)
        return child, Server(port, folder)

    def options(self, endpoint, options, seconds, warm_up, watched):
        watches = [word for child in watched for word in ('--watch', child.pid)]
        return ['--connect', endpoint, '--seconds', seconds, '--warm-up', warm_up, *watches, *options]

    def load_command(self, endpoint, options, seconds, warm_up, watched):
        return [self.program('load'), '--cpu', self.peer_cpu, *CHEAP_TCP, '--lifetime',
                int(seconds + warm_up + 60),
                *self.options(endpoint, options, seconds, warm_up, watched)]

    def load(self, endpoint, options, watched=(), seconds=None, warm_up=None):
        """Runs a generator of its own to its end and returns what it says."""
        seconds = seconds or self.seconds
        warm_up = self.warm_up if warm_up is None else warm_up
        child = Child('load', self.load_command(endpoint, options, seconds, warm_up, watched),
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, priority=self.priority)
        output, errors = child.process.communicate()
        child.stop()
        try:
            return json.loads(output)
        except ValueError:
            raise Failure(f'load ended with {child.process.returncode} and no result: '
                          f'{errors.decode().strip()}') from None

    def rtt_ns(self):
        """How far apart the two CPUs are just now."""
        if self.pooler_cpu == self.peer_cpu:
            return 0
        answer = subprocess.run([self.program('load'), '--mode', 'rtt', '--cpu',
                                 str(self.pooler_cpu), '--peer-cpu', str(self.peer_cpu)],
                                capture_output=True, text=True, timeout=60, check=True)
        return json.loads(answer.stdout)['rtt_ns']


class Peer:
    """Generator and null server in one thread, for all rounds of a row."""

    def __init__(self, bench):
        self.bench = bench
        self.child, self.server = bench.start_listening(
            'load', [bench.program('load'), '--serve'], stdin=subprocess.PIPE)

    def load(self, endpoint, options, watched=(), seconds=None, warm_up=None):
        """As Bench.load."""
        bench = self.bench
        words = bench.options(endpoint, options, seconds or bench.seconds,
                              bench.warm_up if warm_up is None else warm_up, watched)
        self.child.process.stdin.write((' '.join(map(str, words)) + '\n').encode())
        self.child.process.stdin.flush()
        line = self.child.process.stdout.readline()
        if not line:
            raise Failure(f'the load generator ended: {self.child.log_tail()}')
        return json.loads(line)

    def stop(self):
        self.child.stop()


class Foreign:
    """How much of our CPUs others used between two moments."""

    def __init__(self, bench, children):
        self.cpus = bench.cpus()
        self.children = children
        self.before = self.now()

    def now(self):
        ours = sum(child.cpu_ns() for child in self.children) + time.process_time_ns()
        return time.monotonic_ns(), busy_ns(self.cpus), ours

    def share(self):
        wall, busy, ours = (after - before for after, before in zip(self.now(), self.before))
        return max(0.0, (busy - ours) / wall)


def figures(row, result):
    """What the table shows of one run of the generator."""
    pooler = result['watched'][0]
    requests, size = result['requests'], result['bytes']
    if row.unit == 'us':  # the row is about latency
        cost, rate = result['p99_us'], result['requests_per_s']
    elif row.unit == 's/GB':
        cost = pooler['cpu_ns'] / size if size else None
        rate = size / 1e6 / result['seconds']
    else:
        cost = pooler['cpu_ns'] / 1e3 / requests if requests else None
        rate = result['requests_per_s']
    requests = max(1, requests)
    return {
        'cost': cost, 'rate': rate, 'p50_us': result['p50_us'], 'p99_us': result['p99_us'],
        'p999_us': result['p999_us'],
        'pooler_cpus': pooler['cpu_ns'] / pooler['elapsed_ns'],
        'peer_cpus': result['own_cpu'],
        'switches': pooler['voluntary_switches'] / requests,
        'threads': {thread['name']: round(thread['cpu_ns'] / 1e3 / requests, 3)
                    for thread in pooler['threads']},
        'errors': result['errors'], 'wrong': result['wrong'], 'lost': result['lost'],
        'problem': result['first_problem'],
    }


def alive(pooler):
    if not pooler.child.alive():
        raise Failure(f'it ended:\n{pooler.child.log_tail()}')


def warm(row, pooler, peer):
    """A first run that is not counted."""
    peer.load(f'127.0.0.1:{pooler.port}', pooler.load_of(row), seconds=0.3, warm_up=0)
    alive(pooler)


def measure(row, pooler, peer):
    """One round of a row under load; measured again while others disturb."""
    endpoint = f'127.0.0.1:{pooler.port}'
    best = None
    for attempt in range(RETRIES):
        foreign = Foreign(peer.bench, [pooler.child, peer.child])
        result = peer.load(endpoint, pooler.load_of(row), [pooler.child])
        alive(pooler)
        entry = {**figures(row, result), 'foreign_cpus': foreign.share(), 'attempt': attempt}
        if best is None or entry['foreign_cpus'] < best['foreign_cpus']:
            best = entry
        if best['foreign_cpus'] <= FOREIGN_MAX:
            break
    return best


def count_syscalls(row, pooler, peer):
    """System calls per transaction (bulk: per MB), from a run of its own: counting slows everybody down."""
    result = peer.load(f'127.0.0.1:{pooler.port}', [*pooler.load_of(row), '--count-syscalls'],
                       [pooler.child], seconds=0.7, warm_up=0.2)
    alive(pooler)
    units = result['bytes'] / 1e6 if row.unit == 's/GB' else result['requests']
    calls = result['watched'][0]['syscalls']
    if calls < 0:
        calls, units = strace_count(row, pooler, peer)
    return calls / units if calls >= 0 and units else None


def strace_count(row, pooler, peer):
    """The same with strace, where the kernel does not let us see its tracepoints."""
    strace = shutil.which('strace')
    if not strace:
        return -1, 0
    table = os.path.join(peer.bench.folder, 'strace')
    tracer = Child('strace', [strace, '-c', '-f', '-p', pooler.child.pid, '-o', table],
                   end=signal.SIGINT, death=signal.SIGTERM)
    time.sleep(0.3)
    # All of the run is counted, so the warm-up has to be part of the window.
    result = peer.load(f'127.0.0.1:{pooler.port}', pooler.load_of(row), [pooler.child], seconds=1, warm_up=0)
    tracer.stop()
    try:
        with open(table) as file:
            total = re.search(r'^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)(?:\s+\d+)?\s+total', file.read(), re.M)
    except OSError:
        return -1, 0
    units = result['bytes'] / 1e6 if row.unit == 's/GB' else result['requests']
    return (int(total.group(1)), units) if total else (-1, 0)


def staying(bench, endpoint, options):
    """Clients in a process of their own, all logged in; they stay until its standard input is closed."""
    child = Child('load', bench.load_command(endpoint, options, 60, 0, []),
                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = ''
    while not line.startswith('ready'):
        line = child.process.stderr.readline().decode()
        if not line:
            child.stop()
            raise Failure('the clients that are to stay did not log in')
    return child


def measure_idle(row, pooler, peer):
    """Bytes of the pooler per client that has logged in and does nothing; the pooler is fresh."""
    bench, endpoint = peer.bench, f'127.0.0.1:{pooler.port}'
    traffic = ('--mode', 'prepared' if 'prepared' in row.load else 'simple', '--connections', '20')
    first = peer.load(endpoint, traffic, seconds=0.3, warm_up=0)
    before = memory_bytes(pooler.child.pid), kernel_bytes()
    child = staying(bench, endpoint, [*row.load, '--connections', bench.idle_clients])
    burn = process_cpu_ns(pooler.child.pid), time.monotonic_ns()
    time.sleep(1)
    burn = process_cpu_ns(pooler.child.pid) - burn[0], time.monotonic_ns() - burn[1]
    after = memory_bytes(pooler.child.pid), kernel_bytes()
    result = json.loads(child.process.communicate(timeout=60)[0])  # closes its standard input
    child.stop()
    clients = max(1, result['logged_in'])
    return {
        'cost': (after[0] - before[0]) / clients, 'rate': clients, 'idle_cpu': burn[0] / burn[1],
        'kernel': (after[1] - before[1]) / clients,
        'foreign_cpus': 0.0,
        **{name: result[name] + first[name] for name in ('errors', 'wrong', 'lost')},
        'problem': result['first_problem'],
    }
