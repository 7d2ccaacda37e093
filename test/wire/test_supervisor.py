"""What the service manager is told: sd_notify(3)."""
import os
import signal
import socket
import time

import pytest

import harness

pytestmark = pytest.mark.pgring_only


class Manager:
    """Its end of the socket."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(harness.START_TIMEOUT_S)

    def hears(self):
        return self.socket.recv(4096).decode().split("\n")

    def hears_nothing(self):
        self.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            self.hears()


@pytest.mark.parametrize("kind", ("path", "abstract"))
def test_ready_reloading_stopping(pooler, kind):
    directory = harness.Directory()
    try:
        path = os.path.join(directory.path, "notify")
        manager = Manager(path if kind == "path" else "\0" + path)
        one = pooler(env={"NOTIFY_SOCKET": path if kind == "path" else "@" + path}, workers=2)
        assert manager.hears() == ["READY=1"]
        assert one.connect().one("SELECT 1") == "1"
        before = time.monotonic_ns() // 1000
        one.process.signal(signal.SIGHUP)
        state, when = manager.hears()
        assert state == "RELOADING=1" and before <= int(when.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
        assert manager.hears() == ["READY=1"]
        good = one.general
        one.general = dict(good, port="no number")  # a reload that fails ends, too
        one.write()
        one.process.signal(signal.SIGHUP)
        assert manager.hears()[0] == "RELOADING=1"
        assert manager.hears() == ["READY=1"]
        one.process.signal(signal.SIGTERM)
        assert manager.hears() == ["STOPPING=1"]
        assert one.process.wait() == 0
        manager.hears_nothing()
    finally:
        directory.remove()


@pytest.mark.parametrize("address", ("", "/", "relative", "/nobody/is/there", "/" + 200 * "x"))
def test_a_manager_that_is_not_there(pooler, address):
    """Changes nothing."""
    assert pooler(env={"NOTIFY_SOCKET": address}).connect().one("SELECT 1") == "1"
