#!/usr/bin/python3
"""What the tests' programs talk to: HTTP on port 8000, TCP echo and UDP echo on port 7, over IPv4 and IPv6.

    /marker      a text that must never be seen on an underlay
    /whoami      JSON: the address of the client as seen here, its name, the addresses of that name
    /big/SIZE    SIZE bytes that test_data() repeats;    POST /upload: SHA-256 of what came
"""
import hashlib
import http.server
import json
import socket
import socketserver
import sys
import threading

MARKER = "SEEN-ON-THE-WIRE-THIS-IS-A-LEAK"
BLOCK = 1 << 16


def test_data(size):
    """The bytes of /big/SIZE, in blocks: each block is different, so that a lost or doubled one shows."""
    for number in range(0, size, BLOCK):
        block = hashlib.sha256(str(number).encode()).digest() * (BLOCK // 32)
        yield block[:min(BLOCK, size - number)]


def test_digest(size):
    digest = hashlib.sha256()
    for block in test_data(size):
        digest.update(block)
    return digest.hexdigest()


def who(address):
    """As a careful server does: address to name, and the name's addresses."""
    address = address.removeprefix("::ffff:")
    try:
        name = socket.gethostbyaddr(address)[0]
    except OSError as e:
        return {"address": address, "name": None, "error": str(e)}
    try:
        forward = sorted({info[4][0] for info in socket.getaddrinfo(name, None)})
    except OSError as e:
        forward = [str(e)]
    return {"address": address, "name": name, "forward": forward}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/marker":
            self.reply((MARKER + "\n").encode())
        elif self.path == "/whoami":
            self.reply(json.dumps(who(self.client_address[0])).encode())
        elif self.path.startswith("/big/"):
            size = int(self.path[5:])
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            for block in test_data(size):
                self.wfile.write(block)
        else:
            self.send_error(404)

    def do_POST(self):
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            block = self.rfile.read(min(left, BLOCK))
            digest.update(block)
            left -= len(block)
        self.reply(digest.hexdigest().encode())

    def log_message(self, text, *words):
        print(self.client_address[0], text % words, flush=True)


class HttpServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 64

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own would ask the DNS for our name


class EchoTcp(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address, daemon_threads = socket.AF_INET6, True, True


class EchoHandler(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(BLOCK):
            self.request.sendall(data)


def echo_udp():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", 7))
    while True:
        data, client = s.recvfrom(65536)
        s.sendto(data, client)


def main():
    http_server, echo = HttpServer(("::", 8000), Handler), EchoTcp(("::", 7), EchoHandler)
    for target in (echo_udp, echo.serve_forever):
        threading.Thread(target=target, daemon=True).start()
    print("ready", flush=True)
    http_server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
