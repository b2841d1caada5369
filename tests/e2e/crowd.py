"""Thousands of clients: processes of their own with one poll loop each, from many source addresses.

A test makes a Crowd, which starts this file as programs; each does what its mode says, prints one
line of JSON, and goes on at each word it is told. When the Crowd ends, they do.

    hold      open sessions, say EHLO and stay; at "noop" NOOP in each session
    storm     connect and close again and again; half of the closes are resets
    drip      open sessions that send one byte a second, for ever, until they are closed
    deaf      open sessions that send commands and never read a reply, until they are closed
    trickle   open sessions with a large message each, sent slowly; who is refused asks again a second later
"""
import collections
import contextlib
import json
import os
import pathlib
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

AT_A_TIME = 200  # connections that one process has under way
RESET = struct.pack("ii", 1, 0)


def raise_file_limit(wanted):
    """What may be had of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Crowd:
    """`count` sessions of `mode`, shared out to `processes`."""

    def __init__(self, mode, server, count, processes=2, **options):
        from harness import HOST, NETWORK
        first, second, third = NETWORK.split(".")
        raise_file_limit(20000)
        self.processes = []
        for number in range(processes):
            share = count // processes + (number < count % processes)
            order = {"mode": mode, "host": HOST, "port": server.port, "count": share, "number": number,
                     "network": f"{first}.{second}.{200 + int(third) % 10 * 5 + number}", **options}
            self.processes.append(subprocess.Popen([sys.executable, __file__, json.dumps(order)], text=True,
                                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE))

    def tell(self, word):
        for process in self.processes:
            process.stdin.write(word + "\n")
            process.stdin.flush()

    def answer(self, seconds=300):
        """The sums of the next line of each."""
        sums = collections.Counter()
        for process in self.processes:
            late = threading.Timer(seconds, process.kill)
            late.start()
            line = process.stdout.readline()
            late.cancel()
            assert line, "a crowd process ended, or did not answer in time"
            sums.update(json.loads(line))
        return sums

    def ask(self, word, seconds=300):
        self.tell(word)
        return self.answer(seconds)

    def close(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- from here on: the programs ----

class Client:
    def __init__(self, sock):
        self.socket, self.said, self.step, self.wants, self.due = sock, b"", 0, b"", 0.0


class Swarm:
    """Clients of one process. A mode overrides on_reply(), on_closed() and the like."""

    def __init__(self, order):
        self.order = order
        self.target = (order["host"], order["port"])
        self.clients, self.opened, self.connecting = {}, 0, set()
        self.figures = collections.Counter()
        self.poll = select.epoll()
        self.words = ""

    def source(self):
        return f"{self.order['network']}.{self.opened % 200 + 1}"

    def connect(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        sock.bind((self.source(), 0))
        self.opened += 1
        with contextlib.suppress(BlockingIOError):
            sock.connect(self.target)
        self.clients[sock.fileno()] = Client(sock)
        self.connecting.add(sock.fileno())
        self.poll.register(sock, select.EPOLLIN)

    def drop(self, client):
        number = client.socket.fileno()
        self.poll.unregister(number)
        self.connecting.discard(number)
        del self.clients[number]
        client.socket.close()

    def send(self, client, data):
        """What the kernel does not take at once waits."""
        client.wants += data
        self.push(client)

    def push(self, client):
        try:
            while client.wants:
                sent = client.socket.send(client.wants)
                client.wants = client.wants[sent:]
        except BlockingIOError:
            pass
        except OSError:
            client.wants = b""
            return
        self.poll.modify(client.socket, select.EPOLLIN | (select.EPOLLOUT if client.wants else 0))

    def readable(self, client):
        try:
            data = client.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.on_closed(client)
            self.drop(client)
            return
        client.said += data
        while match := re.match(rb"(?:[0-9]{3}-[^\n]*\n)*([0-9]{3})(?: [^\n]*)?\n", client.said):
            client.said = client.said[match.end():]
            self.on_reply(client, int(match.group(1)), match.group(0))

    def turn(self, seconds):
        for number, events in self.poll.poll(seconds, 512):
            if number == 0:
                word = os.read(0, 4096).decode()
                if not word:
                    sys.exit(0)
                self.words += word
            elif client := self.clients.get(number):
                if events & select.EPOLLOUT:
                    self.push(client)
                if events & ~select.EPOLLOUT:
                    self.readable(client)

    def word(self):
        """The next word we were told; "" when there is none."""
        word, newline, rest = self.words.partition("\n")
        if newline:
            self.words = rest
        return word if newline else ""

    def say(self, figures):
        print(json.dumps(figures), flush=True)

    def open_all(self):
        deadline = time.monotonic() + 120
        while (self.opened < self.order["count"] or self.connecting) and time.monotonic() < deadline:
            while self.opened < self.order["count"] and len(self.connecting) < AT_A_TIME:
                self.connect()
            self.turn(0.1)
        self.figures["stuck"] = len(self.connecting)

    def run(self):
        os.set_blocking(0, False)
        self.poll.register(0, select.EPOLLIN)
        self.work()

    def on_closed(self, client):
        self.figures["closed" if client.step >= 2 else "closed_early"] += 1

    def on_reply(self, client, code, text):
        """Greeting, EHLO; step 2 is an open session."""
        if client.step == 0 and code == 220:
            client.step = 1
            self.send(client, b"EHLO crowd.test\r\n")
        elif client.step == 1 and code == 250:
            client.step = 2
            self.connecting.discard(client.socket.fileno())
            self.figures["greeted"] += 1
            self.on_open(client)
        elif client.step < 2:
            client.step = 3
            self.figures["refused_421" if code == 421 else "refused_otherwise"] += 1
            self.connecting.discard(client.socket.fileno())
        else:
            self.on_answer(client, code, text)

    def on_open(self, client):
        pass

    def on_answer(self, client, code, text):
        self.figures[str(code)] += 1


class Hold(Swarm):
    def work(self):
        self.open_all()
        self.say(self.figures)
        while True:
            self.turn(1)
            if self.word() == "noop":
                self.noop()

    def noop(self):
        self.figures = collections.Counter()
        asked = [client for client in self.clients.values() if client.step == 2]
        for client in asked:
            self.send(client, b"NOOP\r\n")
        deadline = time.monotonic() + 120
        while self.figures["250"] + self.figures["closed"] < len(asked) and time.monotonic() < deadline:
            self.turn(0.1)
        self.say(self.figures)


class Storm(Swarm):
    def work(self):
        count, failed = self.order["count"], 0
        for self.opened in range(count):
            with socket.socket() as sock:
                sock.settimeout(30)
                sock.setsockopt(socket.SOL_IP, 24, 1)
                sock.bind((self.source(), 0))
                try:
                    sock.connect(self.target)
                except OSError:
                    failed += 1
                if self.opened % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.say({"connects": count, "failed": failed})


class Drip(Swarm):
    def work(self):
        self.open_all()
        self.say(self.figures)
        deadline = time.monotonic() + self.order["seconds"]
        dripped = 0.0
        while self.clients and time.monotonic() < deadline:
            if time.monotonic() >= dripped + 1:
                dripped = time.monotonic()
                for client in list(self.clients.values()):
                    if client.step >= 2:
                        self.send(client, b"x")
            self.turn(0.1)
        self.figures["left"] = len(self.clients)
        self.say(self.figures)

    def on_open(self, client):
        if client.socket.fileno() % 2:  # the others trickle in a command line
            self.send(client, b"MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\n")


class Deaf(Swarm):
    """Writes as long as the server reads; epoll tells only what can be written."""

    PIECE = b"EHLO deaf.test\r\n" * 2000

    def work(self):
        self.open_all()
        self.say(self.figures)
        for client in self.clients.values():
            self.poll.modify(client.socket, select.EPOLLOUT)
        deadline = time.monotonic() + self.order["seconds"]
        while self.clients and time.monotonic() < deadline:
            for number, _ in self.poll.poll(0.1, 512):
                if number == 0:
                    continue
                client = self.clients[number]
                try:
                    self.figures["bytes"] += client.socket.send(self.PIECE)
                except BlockingIOError:
                    pass
                except OSError:
                    self.figures["closed"] += 1
                    self.drop(client)
        self.figures["left"] = len(self.clients)
        self.say(self.figures)
        while True:  # the rest stays until we are ended
            signal.pause()


class Trickle(Swarm):
    """Each session has a message of `bytes`, sent in pieces; the numbers of those that got 250 go to a file."""

    def __init__(self, order):
        super().__init__(order)
        self.numbers, self.quick = 0, order["quick"]
        self.log = open(order["log"] + str(order["number"]), "w", encoding="ascii", buffering=1)
        self.sending = collections.deque()
        line = b"x" * 998 + b"\r\n"
        self.piece = line * (order["piece"] // len(line))

    def work(self):
        self.open_all()
        self.say(dict(self.figures))
        deadline = time.monotonic() + self.order["seconds"]
        while time.monotonic() < deadline and self.figures["kept"] < self.order["enough"]:
            self.turn(0.01)
            self.again()
            self.feed()
        # No new message and no more of those that are not whole; answers that are due are heard.
        deadline = time.monotonic() + 10
        while any(client.step == 6 for client in self.clients.values()) and time.monotonic() < deadline:
            self.turn(0.05)
        self.say(self.figures)
        while True:
            self.turn(1)

    def begin(self, client):
        client.step, client.due = 3, 0.0
        self.figures["asked"] += 1
        self.send(client, b"MAIL FROM:<a@sender.test> SIZE=%d\r\n" % self.order["bytes"])

    def again(self):
        now = time.monotonic()
        for client in list(self.clients.values()):
            if client.step == 2 and client.due and now >= client.due:
                self.begin(client)

    def feed(self):
        """A piece for each that is due: `quick` sessions as fast as 1 MB a second, the others a piece a second for
        their first blocks, so that all of them hold some, and then one every ten."""
        now = time.monotonic()
        for _ in range(len(self.sending)):
            client = self.sending.popleft()
            if client.step != 5:
                continue
            self.sending.append(client)
            if client.wants or now < client.next:
                continue
            is_early = client.left > self.order["bytes"] - (256 << 10)
            client.next = now + (len(self.piece) / 1e6 if client.quick else 1 if is_early else 10)
            if client.left <= 0:
                client.step = 6
                self.send(client, b".\r\n")
                continue
            client.left -= len(self.piece)
            self.figures["bytes"] += len(self.piece)
            self.send(client, self.piece)

    def on_open(self, client):
        self.begin(client)

    def on_answer(self, client, code, text):
        if code == 421 or client.step not in (3, 4, 5, 6):
            self.figures["ended_%d" % code] += 1
            client.step = 9
            return
        if client.step == 3 and code == 250:
            client.step = 4
            self.figures["admitted"] += 1
            self.send(client, b"RCPT TO:<b@rcpt.test>\r\nDATA\r\n")
        elif client.step == 4 and code == 250:
            pass
        elif client.step == 4 and code == 354:
            client.step, client.left = 5, self.order["bytes"] - 2000
            client.quick, client.next = self.quick > 0, 0.0
            self.quick -= client.quick
            client.seq = "%016x-%010d" % (self.order["number"] + 1, self.numbers)
            self.numbers += 1
            self.send(client, b"Subject: slow\r\nX-Seq: %s\r\n\r\n" % client.seq.encode())
            self.sending.append(client)
        elif client.step == 6 and code == 250:
            self.log.write(client.seq + "\n")
            self.figures["kept"] += 1
            self.quick += client.quick
            client.step, client.due = 2, time.monotonic() + 1
        else:
            late = client.step == 6
            self.quick += client.step > 4 and client.quick
            as_said = text.startswith(b"452 4.3.1 Insufficient system resources")
            self.figures[("late_" if late else "") + ("refused" if as_said else "refused_otherwise_%d" % code)] += 1
            client.step, client.due = 2, time.monotonic() + 1


MODES = {"hold": Hold, "storm": Storm, "drip": Drip, "deaf": Deaf, "trickle": Trickle}


def main():
    order = json.loads(sys.argv[1])
    raise_file_limit(20000)
    MODES[order["mode"]](order).run()


if __name__ == "__main__":
    main()
