"""The receiver that belongs to sender.py: right about lengths, because `recv` is repeated."""
import json
import os
import socket
import struct
import sys


def recv_exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(min(2048, size - len(data)))
        if not piece:
            raise EOFError("the sender hung up in the middle")
        data += piece
    return data


def recv_sized(sock):
    (size,) = struct.unpack("i", recv_exactly(sock, 4))
    return recv_exactly(sock, size)


if __name__ == "__main__":
    folder = sys.argv[1]
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    print("listening on 127.0.0.1:%d" % server.getsockname()[1], flush=True)
    connection, _ = server.accept()
    while True:
        header = recv_sized(connection)
        if header == b"close":
            break
        item = json.loads(header)
        content = recv_sized(connection)
        if item["msg_type"] == "file":
            name = os.path.basename(item["file_name"])
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
            print("file", name, len(content), flush=True)
        else:
            print(content.decode("utf-8"), flush=True)
    connection.close()
