"""The table on the terminal and the JSON file."""

import json
import os
import platform
import statistics
import time


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ''


def environment(bench, args, poolers):
    """What a figure depends on beside the programs."""
    model = [line.split(':', 1)[1].strip() for line in read('/proc/cpuinfo').split('\n')
             if line.startswith('model name')]
    return {
        'date': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        'kernel': platform.release(), 'machine': platform.machine(),
        'cpu': model[0] if model else 'unknown', 'cpus': os.cpu_count(),
        'pooler_cpu': bench.pooler_cpu, 'peer_cpu': bench.peer_cpu,
        'congestion_control': read('/proc/sys/net/ipv4/tcp_congestion_control'),
        'libc': ' '.join(platform.libc_ver()),
        'rounds': args.rounds, 'seconds': bench.seconds, 'warm_up': bench.warm_up,
        'idle_clients': bench.idle_clients,
        'versions': {pooler.name: pooler.version() for pooler in poolers},
    }


def summary(rounds):
    """Medians of a cell's rounds, and how far they spread around the cost."""
    names = ('cost', 'rate', 'p50_us', 'p99_us', 'p999_us', 'switches', 'pooler_cpus', 'peer_cpus',
             'idle_cpu', 'kernel', 'foreign_cpus', 'memory_left', 'reload_ms')
    result = {name: median([entry.get(name) for entry in rounds]) for name in names}
    costs = [entry['cost'] for entry in rounds if entry['cost'] is not None]
    result['spread'] = (max(costs) - min(costs)) / result['cost'] if result['cost'] else 0
    result['lowest'] = min(costs) if costs else None
    threads = [entry.get('threads', {}) for entry in rounds]
    result['threads'] = {name: median([entry.get(name) for entry in threads])
                         for entry in threads[:1] for name in entry}
    result['bad'] = sum(entry['errors'] + entry['wrong'] + entry['lost'] for entry in rounds)
    result['problem'] = next((entry['problem'] for entry in rounds if entry['problem']), '')
    return result


def number(value, digits=1):
    if value is None:
        return '-'
    return f'{value:.{digits}f}' if value < 10000 else f'{value:.0f}'


def share(value, of):
    return f'{value / of:.2f}' if of and value is not None else '-'


HEAD = ('', 'cost', '+-%', '/base', '/floor', 'rate', 'p50 us', 'p99 us', 'sys', 'switch', 'busy',
        'peers', 'target', '')
HEAD_IDLE = (*HEAD[:6], 'CPU %', 'kern B', '', '', '', '', *HEAD[12:])
RATES = {'us/tx': 'requests/s', 's/GB': 'MB/s', 'B/client': 'clients', 'us': 'requests/s', 'ms': 'clients'}
WIDTHS = (12, 7, 4, 5, 6, 7, 7, 7, 7, 7, 5, 5, 6, 5)


def line(cells):
    text = cells[0].ljust(WIDTHS[0])
    return text + ''.join(str(cell).rjust(width + 1) for cell, width in zip(cells[1:], WIDTHS[1:]))


def verdict(row, name, cell, base):
    """The row's target as a figure of this run, and whether it was reached."""
    limits = []
    if name == row.subject and row.target is not None and base and base['cost']:
        limits.append(row.target * base['cost'] + row.more)
    if name == row.subject and row.most is not None:
        limits.append(row.most)
    if row.exact and name == row.subject:
        return '0 lost', 'MISS' if cell['bad'] else 'OK'
    if not limits:
        return '', ''
    limit = min(limits)
    reached = cell['cost'] is not None and cell['cost'] <= limit and not cell['bad'] and not beside(row, cell)
    return number(limit, 2 if limit < 10 else 1), 'OK' if reached else 'MISS'


def beside(row, cell):
    """What the row promises beside its figure and does not keep."""
    problems = []
    if row.cpu_most is not None and (cell['idle_cpu'] or 0) > row.cpu_most:
        problems.append(f"{cell['idle_cpu'] * 100:.2f} % of a core while all are idle, {row.cpu_most * 100:.2f} allowed")
    if (cell['memory_left'] or 0) > 1.1:
        problems.append(f"{cell['memory_left']:.2f} of the memory before the crowd is still there after it, 1.10 allowed")
    if (cell['reload_ms'] or 0) > 1000:
        problems.append(f"{cell['reload_ms']:.0f} ms for a RELOAD, 1000 allowed")
    return problems


def middle(cell, syscalls):
    """The columns between the rate and the target."""
    if cell['idle_cpu'] is not None:
        return number(cell['idle_cpu'] * 100, 2), number(cell['kernel'], 0), '', '', '', ''
    return (number(cell['p50_us'], 0), number(cell['p99_us'], 0), number(syscalls, 2),
            number(cell['switches'], 3), number(cell['pooler_cpus'], 2),
            number(cell['peer_cpus'], 2))


def print_row(row, cells, syscalls):
    """`cells`: summaries by the pooler's name."""
    base, floor = cells.get(row.base), cells.get('relay')
    print(f'\n{row.name}: {row.title}   [cost: {row.unit}, rate: {RATES[row.unit]}, base: {row.base}]')
    print(line(HEAD_IDLE if row.unit == 'B/client' else HEAD))
    for name, cell in cells.items():
        target, reached = verdict(row, name, cell, base)
        cost = cell['cost']
        print(line((
            name, number(cost, 2 if cost is None or cost < 100 else 0),
            f"{cell['spread'] * 100:.0f}", share(cost, base and base['cost']),
            share(cost, floor and floor['cost']), number(cell['rate'], 0),
            *middle(cell, syscalls.get(name)), target, reached)))
        if len(cell['threads']) > 1:
            parts = ', '.join(f'{thread} {number(used, 2)}'
                              for thread, used in cell['threads'].items() if used)
            print(f'  by thread, us: {parts}')
        if cell['reload_ms'] is not None:
            print(f"  {name}: the slowest RELOAD took {cell['reload_ms']:.1f} ms")
        if cell['memory_left'] is not None:
            print(f"  {name}: memory after the crowd has left: {cell['memory_left']:.2f} of before")
        if name == row.subject:
            print(''.join(f'  !! {name}: {problem}\n' for problem in beside(row, cell)), end='')
        if cell['bad']:
            print(f"  !! {name}: {cell['bad']} errors, wrong answers or lost connections: {cell['problem']}")
        if cell['foreign_cpus'] > 0.10:
            print(f"  ?? {name}: others used {cell['foreign_cpus']:.2f} CPUs meanwhile")


def write_json(path, results):
    with open(path, 'w') as file:
        json.dump(results, file, indent=1)
        file.write('\n')
