"""Do the bench programs work? The generator against the null server, directly and through the relays. TAP on standard output."""

import os
import subprocess

from measure import Peer
from processes import Child, Failure, first_line_number

SMALL = [
    ('simple', ['--mode', 'simple', '--connections', '16']),
    ('extended', ['--mode', 'extended', '--connections', '16']),
    ('prepared', ['--mode', 'prepared', '--connections', '16']),
    ('prepared, 30 statements', ['--mode', 'prepared', '--connections', '4', '--statements', '30',
                                 '--describe']),
    ('transactions', ['--mode', 'simple', '--connections', '4', '--transaction']),
    ('own settings', ['--mode', 'simple', '--connections', '4', '--own-settings']),
    ('turns', ['--mode', 'simple', '--connections', '24', '--turns', '5', '--own-pools', 'other']),
    ('fixed rate', ['--mode', 'simple', '--connections', '8', '--rate', '2000']),
    ('connect', ['--mode', 'connect', '--connections', '4', '--ask-ssl']),
]
BULK = [
    (f'{mode}, {size} bytes', ['--mode', mode, '--connections', '2', '--row-bytes', str(size),
                               '--bytes', '2000000'])
    for mode in ('rows', 'copy-out', 'copy-in') for size in (11, 100, 1000000)
]

RATE = next(case for case in SMALL if case[0] == 'fixed rate')


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def check(self, name, right, detail=''):
        self.count += 1
        self.failed += not right
        print(f"{'ok' if right else 'not ok'} {self.count} - {name}", flush=True)
        if not right and detail:
            print(f'# {detail}')

    def skip(self, name, why):
        self.count += 1
        print(f'ok {self.count} - {name} # SKIP {why}', flush=True)


def clean(result):
    return result['answered_in_all'] > 0 and not result['errors'] + result['wrong'] + result['lost']


def loaded(load, endpoint, options, seconds=0.1, wanted='answered_in_all'):
    """What it says after a moment, or after a longer one, where nothing of what is wanted has come about so soon."""
    result = load(endpoint, options, seconds=seconds, warm_up=0)
    if not result[wanted] and not result['errors'] + result['lost']:
        result = load(endpoint, options, seconds=5, warm_up=0)
    return result


def run_modes(tap, bench, name, endpoint, modes):
    for title, options in modes:
        result = loaded(bench.load, endpoint, options)
        tap.check(f'{name}: {title}', clean(result), str(result))


def run_idle(tap, bench, endpoint):
    for touch in (['idle'], ['idle', '--touch', 'prepared'], ['idle', '--at-once', 200], ['stuck']):
        command = bench.load_command(endpoint, ['--connections', 200, '--mode', *touch], 10, 0, [])
        answer = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=120, check=False)
        tap.check(f"staying clients: {' '.join(map(str, touch))}",
                  answer.returncode == 0 and 'ready 200' in answer.stderr, answer.stderr)


def run_relay(tap, bench, server, name, *options):
    child = Child(name, [bench.program('relay'), '--to', server.endpoint('tcp'), '--lifetime', 600,
                         *options], stdout=subprocess.PIPE, log=os.path.join(bench.folder, name))
    try:
        endpoint = f'127.0.0.1:{first_line_number(child)}'
    except Failure:
        if child.process.returncode != 77:
            raise
        tap.skip(name, child.log_tail().strip())
        return
    run_modes(tap, bench, name, endpoint, [SMALL[0], SMALL[2], RATE, *BULK])
    tap.check(f'{name}: is still there', child.alive(), child.log_tail())
    child.stop()


def run_served(tap, bench):
    """Server and generator in one thread, run after run."""
    peer = Peer(bench)
    for title, options in [SMALL[0], SMALL[2], RATE, *BULK]:
        result = loaded(peer.load, peer.server.endpoint('tcp'), options)
        tap.check(f'in one thread: {title}', clean(result), str(result))
    peer.stop()


def run_wrong(tap, bench):
    """A generator that would not notice a wrong answer measures nothing."""
    child, server = bench.start_server('--wrong-every', '5')
    for title, options in [SMALL[0], SMALL[2], BULK[1], BULK[4]]:
        result = loaded(bench.load, server.endpoint('tcp'), options, 0.3, 'wrong')
        tap.check(f'wrong answers are noticed: {title}', result['wrong'] > 0, str(result))
    child.stop()


def run(bench):
    tap = Tap()
    child, server = bench.start_server()
    run_modes(tap, bench, 'tcp', server.endpoint('tcp'), SMALL + BULK)
    run_modes(tap, bench, 'unix socket', server.endpoint('unix'), SMALL + BULK[:4])
    run_idle(tap, bench, server.endpoint('tcp'))
    run_relay(tap, bench, server, 'relay')
    run_relay(tap, bench, server, 'relay with io_uring', '--uring')
    watched = bench.load(server.endpoint('tcp'), SMALL[0][1], [child], seconds=0.2, warm_up=0)
    tap.check('a watched process has used CPU time',
              0 < watched['watched'][0]['cpu_ns'] <= watched['watched'][0]['elapsed_ns'] * 1.1,
              str(watched))
    child.stop()
    run_served(tap, bench)
    run_wrong(tap, bench)
    print(f'1..{tap.count}')
    return 1 if tap.failed else 0
