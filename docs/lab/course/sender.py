"""The sender that every course on sockets ends up with: texts and files over one connection."""
import json
import os
import socket
import struct
import sys


def send_item(sock, item, content_size):
    header = json.dumps(item).encode("utf-8")
    sock.sendall(struct.pack("i", len(header)))
    sock.sendall(header)
    sock.sendall(struct.pack("i", content_size))


def send_text(sock, text):
    content = text.encode("utf-8")
    send_item(sock, {"msg_type": "msg"}, len(content))
    sock.sendall(content)


def send_file(sock, path):
    send_item(sock, {"msg_type": "file", "file_name": os.path.basename(path)}, os.path.getsize(path))
    with open(path, "rb") as file:
        while True:
            piece = file.read(2048)
            if not piece:
                break
            sock.sendall(piece)


if __name__ == "__main__":
    host, port = sys.argv[1].split(":")
    client = socket.socket()
    client.connect((host, int(port)))
    for argument in sys.argv[2:]:
        if os.path.isfile(argument):
            send_file(client, argument)
        else:
            send_text(client, argument)
    client.sendall(struct.pack("i", len("close")))
    client.sendall("close".encode("utf-8"))
    client.close()
