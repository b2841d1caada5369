"""A command on a terminal of its own."""
import codecs
import contextlib
import fcntl
import os
import pathlib
import pty
import select
import struct
import subprocess
import termios

from harness import BINARY, wait_until


class Terminal:
    """A command on a terminal of 50 lines and 100 columns, or as many as given. A full one takes no
    character more until it is read."""

    def __init__(self, *arguments, env=None, full=False, columns=100, stdin=None):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        if full:
            self.fill()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([str(BINARY), *map(str, arguments)], stdin=stdin or self.slave, stdout=self.slave,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        env={**os.environ, "TERM": "xterm", **(env or {})})
        self.text = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def fill(self):
        filler = os.open(os.ttyname(self.slave), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        for piece in (b" " * 1024, b" "):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(filler, piece)
        os.close(filler)

    def is_blocked(self):
        """In a call on file descriptor 1: there it only writes."""
        call = pathlib.Path(f"/proc/{self.process.pid}/syscall").read_text().split()
        return len(call) > 1 and call[1] == "0x1"

    def read(self, seconds=0.05):
        """What there is by then. A character may be cut in two."""
        if select.select([self.master], [], [], seconds)[0]:
            self.text += self.decoder.decode(os.read(self.master, 65536))
        return self.text

    def read_until(self, condition, what):
        wait_until(lambda: condition(self.read()), f"{what} on the terminal")

    def read_to_end(self):
        """All of it, and the exit code."""
        wait_until(lambda: self.read() is not None and self.process.poll() is not None, "the command's end")
        while select.select([self.master], [], [], 0)[0]:
            self.read()
        return self.process.returncode

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)
