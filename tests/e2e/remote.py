"""A remote SMTP or LMTP server that does what a test says: answers anything, hangs, closes.

`rule` is asked at every phase and returns None (answer as usual), bytes (send these, lines end in
CRLF already), CLOSE, RESET or HANG, or a callable that gets the Talk. Phases: connect ehlo helo
lhlo mail rcpt data bdat body (the bytes arrive: CLOSE leaves in the middle) dot (the end of data)
rset noop starttls quit other.
"""
import itertools
import re
import socket
import ssl
import struct
import threading

from harness import PATIENCE, new_host, wait_until

CLOSE, RESET, HANG = "close", "reset", "hang"
EXTENSIONS = ("PIPELINING", "8BITMIME", "SIZE 100000000", "ENHANCEDSTATUSCODES", "DSN")


class Ended(Exception):
    """This talk is over."""


class Mail:
    """One message the remote took."""

    def __init__(self, talk, sender, recipients, data, chunked):
        self.talk, self.sender, self.recipients, self.data = talk, sender, recipients, data
        self.chunked = chunked

    def header(self, name):
        match = re.search(rb"^" + name.encode() + rb":[ \t]*((?:.*(?:\r\n[ \t].*)*))$",
                          self.data.split(b"\r\n\r\n")[0].replace(b"\r\n", b"\n").replace(b"\n ", b" ")
                          .replace(b"\n\t", b" "), re.MULTILINE | re.IGNORECASE)
        return match.group(1).decode("utf-8", "replace") if match else None


class Talk:
    """One connection, in its own thread."""

    def __init__(self, remote, connection, number):
        self.remote, self.socket, self.number = remote, connection, number
        self.buffer = b""
        self.commands = []  # as received, without CRLF
        self.sender, self.recipients, self.chunks = None, [], b""
        self.recipient_arguments = []
        self.tls = False

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise Ended
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.receive()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def answer(self, phase, argument, usual):
        """Does what the rule says, or the usual. True: it was a 2xx or 3xx."""
        action = self.remote.rule(phase, argument, self) if self.remote.rule else None
        if callable(action):
            action = action(self)
        if action is None:
            action = usual
        if action == CLOSE:
            raise Ended
        if action == RESET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Ended
        if action == HANG:
            self.remote.stopping.wait()
            raise Ended
        if isinstance(action, str):
            action = action.encode() + b"\r\n"
        self.send(action)
        return action[:1] in b"23"

    def run(self):
        self.answer("connect", b"", self.remote.greeting)
        while True:
            line = self.line()
            self.commands.append(line)
            verb, _, argument = line.partition(b" ")
            name = verb.upper().decode("ascii", "replace")
            getattr(self, "on_" + name.lower(), self.on_other)(argument)

    def on_other(self, argument):
        self.answer("other", argument, "500 5.5.1 unknown")

    def extensions(self, argument, phase):
        lines = [self.remote.name, *self.remote.extensions]
        if self.remote.tls_context and not self.tls:
            lines.append("STARTTLS")
        text = "".join(f"250{'-' if line is not lines[-1] else ' '}{line}\r\n" for line in lines)
        self.answer(phase, argument, text.encode())

    def on_ehlo(self, argument):
        self.extensions(argument, "ehlo")

    def on_lhlo(self, argument):
        self.extensions(argument, "lhlo")

    def on_helo(self, argument):
        self.answer("helo", argument, "250 " + self.remote.name)

    def on_mail(self, argument):
        self.sender, self.recipients, self.chunks, self.recipient_arguments = None, [], b"", []
        if self.answer("mail", argument, "250 2.1.0 ok"):
            self.sender = argument.partition(b":")[2].strip()

    def on_rcpt(self, argument):
        if self.answer("rcpt", argument, "503 5.5.1 no sender" if self.sender is None else "250 2.1.5 ok"):
            path = argument.partition(b":")[2].strip()
            self.recipient_arguments.append(path)
            self.recipients.append(path.rpartition(b">")[0].lstrip(b"<") or path)

    def on_rset(self, argument):
        self.sender, self.recipients, self.chunks = None, [], b""
        self.answer("rset", argument, "250 2.0.0 ok")

    def on_noop(self, argument):
        self.answer("noop", argument, "250 2.0.0 ok")

    def on_quit(self, argument):
        self.answer("quit", argument, "221 2.0.0 bye")
        raise Ended

    def on_data(self, argument):
        if not self.answer("data", argument, "354 go on" if self.recipients else "503 5.5.1 no recipients"):
            return
        if self.remote.rule and self.remote.rule("body", b"", self) == CLOSE:
            raise Ended
        body = bytearray(b"\r\n" + self.buffer)
        seen = 0
        while (end := body.find(b"\r\n.\r\n", seen)) < 0:
            seen = max(0, len(body) - 4)
            self.buffer = b""
            self.receive()
            body += self.buffer
        data, self.buffer = bytes(body[:end]), bytes(body[end + 5:])
        self.finish((data[2:] + b"\r\n").replace(b"\r\n.", b"\r\n").removeprefix(b"."), False)

    def on_bdat(self, argument):
        words = argument.split()
        size, last = int(words[0]), len(words) > 1
        pieces, have = [self.buffer], len(self.buffer)
        while have < size:
            self.buffer = b""
            self.receive()
            pieces.append(self.buffer)
            have += len(self.buffer)
        whole = b"".join(pieces)
        self.chunks += whole[:size]
        self.buffer = whole[size:]
        if last:
            self.finish(self.chunks, True)
        else:
            self.answer("bdat", argument, "250 2.0.0 ok")

    def finish(self, data, chunked):
        mail = Mail(self, self.sender, list(self.recipients), data, chunked)
        with self.remote.lock:
            self.remote.ended.append(mail)  # came whole, whatever we answer
        for _ in self.recipients if self.remote.lmtp else [None]:
            if self.answer("dot", data, f"250 2.0.0 taken {self.remote.name}"):
                with self.remote.lock:
                    if mail not in self.remote.mails:
                        self.remote.mails.append(mail)
        self.sender, self.recipients, self.chunks = None, [], b""

    def on_starttls(self, argument):
        if self.answer("starttls", argument, "220 2.0.0 go ahead"):
            self.socket = self.remote.tls_context.wrap_socket(self.socket, server_side=True)
            self.tls, self.buffer = True, b""


class Remote:
    """Listens until close(); `mails` are those it answered 250, `ended` all that came whole."""

    def __init__(self, host=None, port=0, rule=None, extensions=EXTENSIONS, name="mx.remote.test",
                 lmtp=False, path=None, greeting=None):
        self.rule, self.extensions, self.name, self.lmtp = rule, extensions, name, lmtp
        self.greeting = greeting or f"220 {name} ESMTP"
        self.tls_context = None
        self.lock = threading.Lock()
        self.mails, self.ended, self.talks = [], [], []
        self.stopping = threading.Event()
        self.numbers = itertools.count()
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.host, self.port = None, None
        else:
            self.host = host or new_host()
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((self.host, port))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(128)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def use_tls(self, certificate, key):
        self.tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls_context.load_cert_chain(certificate, key)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE * 4)
            talk = Talk(self, connection, next(self.numbers))
            with self.lock:
                self.talks.append(talk)
            threading.Thread(target=self.talk, args=(talk,), daemon=True).start()

    @staticmethod
    def talk(talk):
        try:
            talk.run()
        except (Ended, OSError, ValueError, IndexError):
            pass
        finally:
            talk.socket.close()

    def commands(self):
        with self.lock:
            return [command for talk in self.talks for command in talk.commands]

    def wait_mails(self, count, seconds=None):
        wait_until(lambda: len(self.mails) >= count, f"{count} mails at {self.name}", seconds)
        assert len(self.mails) == count, f"{len(self.mails)} mails, not {count}"
        return self.mails

    def wait_connections(self, count, seconds=None):
        wait_until(lambda: len(self.talks) >= count, f"{count} connections at {self.name}", seconds)

    def close(self):
        self.stopping.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for talk in self.talks:
            try:
                talk.socket.close()
            except OSError:
                pass
