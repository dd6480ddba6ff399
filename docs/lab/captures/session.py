"""Speaks netdisk in ways that a dissector must bear: several frames in a segment, a frame over many."""
import json
import socket
import struct
import sys


def frame(payload):
    return struct.pack("!I", len(payload)) + payload


def message(**fields):
    return frame(json.dumps(fields, separators=(",", ":")).encode())


def receive(sock):
    data = b""
    while len(data) < 4:
        data += sock.recv(4 - len(data))
    (size,) = struct.unpack("!I", data)
    payload = b""
    while len(payload) < size:
        payload += sock.recv(size - len(payload))
    return payload


host, port = sys.argv[1].split(":")
client = socket.create_connection((host, int(port)))
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
# Two frames in one segment.
client.sendall(message(type="hello", version=1, software="session.py")
               + message(id=1, type="register", user="capture", password="correct horse"))
print(receive(client), receive(client))
# Three requests, a heartbeat among them, in one segment.
client.sendall(message(id=2, type="mkdir", path="/夏天") + frame(b"") + message(id=3, type="whoami")
               + message(id=4, type="list", path="/"))
print(receive(client), receive(client), receive(client), receive(client))
# One data frame over many segments, its header split 1+3.
client.sendall(message(id=5, type="upload", path="/f", size=3000))
print(receive(client))
body = frame(b"\0" + b"netdisk " * 375)
for at, end in (0, 1), (1, 4), (4, 700), (700, 1400), (1400, 2100), (2100, len(body)):
    client.sendall(body[at:end])
# The digest is of something else: the refusal is part of the show.
client.sendall(message(id=5, type="end", digest="0" * 64))
print(receive(client))
client.close()
