"""DNS for the tests: a server that lies on demand, and NSD with real zones."""
import contextlib
import pathlib
import socket
import subprocess
import threading

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.query
import dns.resolver

from harness import free_port, new_host, wait_until

SILENCE = "silence"


class Nameserver:
    """Answers from `records` {(name, type): [rdata text]}, unless `rule` has something to say.

    rule(query, name, type) returns None, SILENCE, bytes (sent as they are), or a dns.message.
    """

    def __init__(self, records=None, rule=None):
        self.host = new_host()
        self.records = {}
        self.asked = []
        self.rule = rule
        for (name, kind), values in (records or {}).items():
            self.add(name, kind, *values)
        while True:
            self.port = free_port(self.host, socket.SOCK_DGRAM)
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind((self.host, self.port))
            self.tcp = socket.socket()
            try:
                self.tcp.bind((self.host, self.port))
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
        self.tcp.listen(16)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def address(self):
        return f"{self.host}@{self.port}"

    def add(self, name, kind, *values):
        self.records[(name.lower().rstrip("."), kind)] = values

    def settings(self, **delivery):
        """The server's settings that make it ask here."""
        return {"dns": {"servers": [self.address], "time_out": "3s", "cache": False}, "delivery": delivery}

    def answer(self, wire, size_max=65535):
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return None
        name = question.name.to_text().rstrip(".").lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.rule:
            said = self.rule(query, name, kind)
            if said is not None:
                return None if said == SILENCE else said if isinstance(said, bytes) else said.to_wire()
        response = self.usual(query, name, kind)
        try:
            return response.to_wire(max_size=size_max)
        except dns.exception.TooBig:  # say so: it comes again over TCP
            short = dns.message.make_response(query, recursion_available=True)
            short.flags |= dns.flags.TC
            return short.to_wire()

    def usual(self, query, name, kind):
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        for _ in range(8):  # follow CNAMEs, as a resolver would
            owner = dns.name.from_text(name)
            if (name, kind) in self.records:
                response.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, *self.records[name, kind]))
                return response
            if (name, "CNAME") not in self.records:
                break
            target = self.records[name, "CNAME"][0]
            response.answer.append(dns.rrset.from_text(owner, 60, "IN", "CNAME", target))
            name = target.lower().rstrip(".")
        if not any(known == name or known.endswith("." + name) for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        zone = dns.name.from_text(name).parent() if name else dns.name.root
        response.authority.append(dns.rrset.from_text(zone, 60, "IN", "SOA", "ns.test. h.test. 1 60 60 60 60"))
        return response

    def serve_udp(self):
        while True:
            try:
                wire, peer = self.udp.recvfrom(65535)
                answer = self.answer(wire, 1232)
                if answer is not None:
                    self.udp.sendto(answer, peer)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, EOFError, dns.exception.DNSException):
                connection.settimeout(5)
                size = int.from_bytes(connection.recv(2), "big")
                answer = self.answer(connection.recv(size))
                if answer is not None:
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def close(self):
        for listener in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def servfail(query, *_):
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response


class Nsd:
    """The real name server NSD with one zone for everything below `test.`."""

    def __init__(self, program, folder, zone):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.host = new_host()
        self.port = free_port(self.host, socket.SOCK_DGRAM)
        (self.folder / "zone").write_text(
            "$ORIGIN test.\n$TTL 60\n@ IN SOA ns.test. h.test. 1 60 60 60 60\n@ IN NS ns.test.\n"
            f"ns IN A {self.host}\n{zone}\n", encoding="ascii")
        (self.folder / "nsd.conf").write_text(f"""
server:
  ip-address: {self.host}@{self.port}
  username: ""
  chroot: ""
  zonesdir: "{self.folder}"
  database: ""
  pidfile: "{self.folder}/nsd.pid"
  xfrdfile: "{self.folder}/xfrd.state"
  zonelistfile: "{self.folder}/zone.list"
  xfrdir: "{self.folder}"
  server-count: 1
  hide-version: yes
remote-control:
  control-enable: no
zone:
  name: "test."
  zonefile: "zone"
""", encoding="ascii")
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen([program, "-d", "-c", str(self.folder / "nsd.conf")],
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        wait_until(self.is_ready, "nsd to answer")

    @property
    def address(self):
        return f"{self.host}@{self.port}"

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        query = dns.message.make_query("ns.test.", "A")
        with contextlib.suppress(dns.exception.DNSException, OSError):
            return bool(dns.query.udp(query, self.host, 0.5, self.port).answer)
        return False

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
