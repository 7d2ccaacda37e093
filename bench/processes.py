"""Child processes of the bench: started pinned, measured, and ended by their id whatever happens."""

import ctypes
import os
import pwd
import resource
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)
running = []


class Failure(Exception):
    """The bench cannot go on; the text says why."""


def raise_file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def unprivileged_user():
    """Whom PgBouncer and PostgreSQL run as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ('postgres', 'nobody'):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise Failure('running as root, and there is neither a user postgres nor nobody')


class Child:
    """A process that dies with us. `death` is the signal for that, `end` the one for an orderly stop."""

    def __init__(self, name, command, cpu=None, user=None, log=None, priority=False,
                 end=signal.SIGTERM, death=signal.SIGKILL, stdin=subprocess.DEVNULL,
                 stdout=None, stderr=None, env=None, cwd=None):
        def before_exec():
            libc.prctl(PR_SET_PDEATHSIG, death)
            if cpu is not None:
                os.sched_setaffinity(0, {cpu} if isinstance(cpu, int) else cpu)

        self.name, self.end, self.log = name, end, log
        sink = open(log, 'ab') if log else subprocess.DEVNULL
        identity = {}
        if user:
            identity = {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': []}
        try:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=stdin, stdout=stdout or sink,
                stderr=stderr or sink, start_new_session=True, preexec_fn=before_exec,
                env=env, cwd=cwd, **identity)
        except OSError as err:
            raise Failure(f'cannot start {name}: {err}') from err
        finally:
            if log:
                sink.close()
        running.append(self)
        if priority:
            prefer(self.process.pid)

    @property
    def pid(self):
        return self.process.pid

    def cpu_ns(self):
        return process_cpu_ns(self.pid)

    def alive(self):
        return self.process.poll() is None

    def log_tail(self, lines=8):
        if not self.log or not os.path.exists(self.log):
            return ''
        with open(self.log, errors='replace') as file:
            return ''.join(file.readlines()[-lines:])

    def stop(self):
        if self in running:
            running.remove(self)
        if self.alive():
            self.process.send_signal(self.end)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def stop_all():
    for child in reversed(running[:]):
        child.stop()


def prefer(pid):
    """Before others of this machine: plain nice does nothing between sessions where the kernel groups by session."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, -20)
        with open(f'/proc/{pid}/autogroup', 'w') as file:
            file.write('-20')
    except OSError:
        pass


def process_cpu_ns(pid):
    """User and system time of all threads: the process's CPU clock (clock_getcpuclockid)."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        return 0


def memory_bytes(pid):
    """Private memory and its share of what is shared."""
    with open(f'/proc/{pid}/smaps_rollup') as file:
        for line in file:
            if line.startswith('Pss:'):
                return int(line.split()[1]) * 1024
    raise Failure(f'no Pss of process {pid}')


def kernel_bytes():
    """Kernel objects of the whole machine that stay while they are used: sockets, what a wait needs."""
    with open('/proc/meminfo') as file:
        for line in file:
            if line.startswith('SUnreclaim:'):
                return int(line.split()[1]) * 1024
    return 0


def busy_ns(cpus):
    """What these CPUs have worked (for anybody, time stolen by the host included) since boot."""
    tick_ns = 10**9 // os.sysconf('SC_CLK_TCK')
    total = 0
    with open('/proc/stat') as file:
        for line in file:
            words = line.split()
            if words[0].startswith('cpu') and words[0][3:].isdigit() and int(words[0][3:]) in cpus:
                user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
                total += user + nice + system + irq + softirq + steal
    return total * tick_ns


def first_line_number(child):
    """The port that a program of ours says it listens on; it either speaks at once or ends."""
    line = child.process.stdout.readline().decode()
    if not line.startswith('listening on port'):
        child.process.wait(5)
        raise Failure(f'{child.name} does not start: {child.log_tail()}')
    return int(line.split()[-1])
