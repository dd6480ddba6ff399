#!/usr/bin/env python3
"""A small client for the netdisk protocol, written from PROTOCOL.md. It needs Python 3.9 and nothing else."""
import argparse, getpass, hashlib, hmac, json, os, socket, ssl, struct, sys, tempfile, unicodedata

PAYLOAD_MAX_BEFORE_LOGIN, MESSAGE_MAX, DATA_MAX = 4096, 65536, 262144
EXIT_CODES = {  # by the code of a fault or the name of Python's exception; for all others it is 1
    2: "bad_path bad_name bad_password", 4: "login_refused", 5: "untrusted SSLError",
    3: "timed_out busy shutting_down unreachable TimeoutError timeout SSLEOFError BrokenPipeError"
       " ConnectionResetError ConnectionAbortedError", 6: "not_found FileNotFoundError",
    7: "name_taken registration_closed exists not_empty not_a_directory not_a_file quota_exceeded full",
    8: "size_mismatch digest_mismatch corrupt changed", 130: "cancelled KeyboardInterrupt EOFError"}

class NetdiskError(Exception):
    """A fault from the server, or something wrong that the client saw: a code and a message."""

def check(condition, code, message):
    if not condition:
        raise NetdiskError(code, message)

class Blake3:
    """The BLAKE3 hash. A row of four words of its state is one integer with 64 bits for each word; the upper
    half of them is room for carries and shifts. So the four quarter rounds of a step are computed at once."""
    IV = bytes.fromhex("67e6096a85ae67bb72f36e3c3af54fa57f520e518c68059babd9831f19cde05b")
    PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
    CHUNK, PARENT, ROOT = (1, 2), (4, 0), 8  # flags: of its first and of its last block

    def __init__(self):
        self.buffer, self.values = b"", []  # one value for each chunk

    def compress(self, data, counter, flags, root=0):
        """Return the chaining value of a chunk, or of a parent, whose data are the values of its children."""
        number, pack, mask = int.from_bytes, struct.Struct("<4Q").pack, int("00000000ffffffff" * 4, 16)
        chaining, twice, around = self.IV, 1 + (1 << 32), 1 + (1 << 256)  # x * twice >> n: x rotated by n
        for at in range(0, max(1, len(data)), 64):
            block, flag = data[at:at + 64], flags[0] * (at == 0) | (flags[1] | root) * (at + 64 >= len(data))
            state = chaining + self.IV[:16] + struct.pack("<QII", counter, len(block), flag)
            a, b, c, d = (number(pack(*row), "little") for row in struct.iter_unpack("<4I", state))
            words = struct.unpack("<16I", block.ljust(64, b"\0"))
            for _ in range(7):
                for half, left, right in (words[:8], 64, 192), (words[8:], 192, 64):  # columns, diagonals
                    for message, turn_d, turn_b in (half[::2], 16, 12), (half[1::2], 8, 7):
                        a = a + b + number(pack(*message), "little") & mask
                        d = (d ^ a) * twice >> turn_d & mask
                        c = c + d & mask
                        b = (b ^ c) * twice >> turn_b & mask
                    b, c, d = b * around >> left & mask, c * around >> 128 & mask, d * around >> right & mask
                words = [words[i] for i in self.PERMUTATION]
            lanes = struct.unpack("<8Q", (a ^ c | (b ^ d) << 256).to_bytes(64, "little"))
            chaining = struct.pack("<8I", *lanes)
        return chaining

    def update(self, data):
        self.buffer += data
        whole = max(0, len(self.buffer) - 1) // 1024 * 1024  # the last chunk waits for hexdigest()
        for at in range(0, whole, 1024):
            self.values.append(self.compress(self.buffer[at:at + 1024], len(self.values), self.CHUNK))
        self.buffer = self.buffer[whole:]

    def hexdigest(self):
        last, level = (self.buffer, len(self.values), self.CHUNK), self.values
        while level:  # up the tree, level by level; `last` stands to its right and is not compressed yet
            if len(level) % 2 == 1:
                last = level[-1] + self.compress(*last), 0, self.PARENT
            level = [self.compress(a + b, 0, self.PARENT) for a, b in zip(level[::2], level[1::2])]
        return self.compress(*last, self.ROOT).hex()

def key_fingerprint(certificate):
    """Return the SHA-256 of the SubjectPublicKeyInfo in a certificate; both are DER."""
    def element(start):  # where its content begins and where it ends
        long_form = max(0, certificate[start + 1] - 0x80)  # bytes of the length, if it has its own
        content = start + 2 + long_form
        return content, content + int.from_bytes(certificate[content - (long_form or 1):content], "big")
    at, _ = element(element(0)[0])  # into Certificate and TBSCertificate
    for _ in range(6 if certificate[at] == 0xA0 else 5):  # [version], serial, algorithm, issuer, dates, name
        at = element(at)[1]
    return hashlib.sha256(certificate[at:element(at)[1]]).hexdigest()

class Client:
    """A connection that is logged in. After a fault it can be used on; after any other exception drop it."""
    def __init__(self, server, fingerprint, user, password, register=False):
        host, _, port = server.rpartition(":")
        try:
            self.socket = socket.create_connection((host.strip("[]"), port), timeout=8)
        except (OSError, UnicodeError) as error:
            raise NetdiskError("unreachable", error) from error
        if fingerprint is not None:  # for None there is no TLS
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.set_alpn_protocols(["netdisk/1"])
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its key is checked instead
            self.socket = context.wrap_socket(self.socket)
            key = key_fingerprint(self.socket.getpeercert(binary_form=True))
            trusted = hmac.compare_digest(key, fingerprint.lower().removeprefix("sha256:"))
            check(trusted, "untrusted", f"the fingerprint is {key}")
        self.socket.settimeout(60)
        self.reader, self.last_id, self.payload_max = self.socket.makefile("rb"), 0, PAYLOAD_MAX_BEFORE_LOGIN
        self.send(type="hello", version=1, software="netdisk.py/1")
        self.receive("hello")
        self.request("register" if register else "login", user=user, password=password)
        self.receive("welcome")
        self.payload_max = 1 + DATA_MAX

    def list(self, path):
        self.request("list", path=path)
        entries = []
        while (message := self.receive("entries", "end"))["type"] == "entries":
            entries += message["entries"]
        check(message["count"] == len(entries), "bad_request", "the listing is not complete")
        return entries

    def put(self, local, path):
        with open(local, "rb") as file:
            status, size, digest = os.fstat(file.fileno()), 0, Blake3()
            self.request("upload", path=path, size=status.st_size, modified=status.st_mtime_ns // 1000000)
            offset = self.receive("ready")["offset"]
            while chunk := file.read(DATA_MAX):
                unsent = chunk[max(0, offset - size):]  # the server has what is before its offset
                self.send(b"\0" + unsent if unsent else b"")  # a heartbeat where there is nothing to send
                size += len(chunk)
                digest.update(chunk)
        self.send(id=self.last_id, type="end", digest=digest.hexdigest())
        while self.receive("stored", "abort")["type"] == "abort":
            pass  # the server wanted no more; its fault comes next
        return size, digest.hexdigest()

    def get(self, path, local, overwrite=False):
        check(overwrite or not os.path.lexists(local), "exists", f"{local} stands there already")
        self.request("download", path=path)
        due, size, digest = self.receive("ready")["entry"]["size"], 0, Blake3()
        with tempfile.TemporaryDirectory(prefix=".netdisk-", dir=os.path.dirname(local) or ".") as folder:
            with open(f"{folder}/part", "wb") as file:
                while isinstance(frame := self.receive(bytes, "end"), bytes):
                    size += file.write(frame)
                    digest.update(frame)
            check((size, frame["digest"]) == (due, digest.hexdigest()), "digest_mismatch", "what came is damaged")
            os.replace(f"{folder}/part", local)
        return size, digest.hexdigest()

    def request(self, kind, **fields):
        self.last_id += 1
        self.send(id=self.last_id, type=kind, **fields)

    def send(self, payload=b"", **message):
        if message:
            payload = json.dumps(message, ensure_ascii=False).encode()
            check(len(payload) <= min(self.payload_max, MESSAGE_MAX), "bad_request", "a name is too long")
        self.socket.sendall(len(payload).to_bytes(4, "big") + payload)

    def receive(self, *types):
        """Return the next message, which must be of these types, or file bytes if `bytes` is one of them."""
        payload = b""
        while not payload:  # a heartbeat
            header = self.reader.read(4)
            length = int.from_bytes(header, "big")
            check(length <= self.payload_max, "bad_request", f"the server sent a frame of {length} bytes")
            payload = self.reader.read(length)
            check(len(header + payload) == 4 + length, "unreachable", "the server closed the connection")
        if payload[0] == 0 and bytes in types:
            return payload[1:]
        check(payload[:1] == b"{" and length <= MESSAGE_MAX, "bad_request", "the server sent no message")
        message = json.loads(payload.decode())
        check(message["type"] in types and message.get("id", 0) == self.last_id,  # else a fault, or worse
              message.get("code", "bad_request"), message.get("message", f"unexpected {message['type']}"))
        return message

def main():
    parser = argparse.ArgumentParser(prog="netdisk.py", description=__doc__)
    parser.add_argument("--server", default=os.getenv("NETDISK_SERVER", "127.0.0.1:8001"))
    parser.add_argument("--user", default=os.getenv("NETDISK_USER"), required=not os.getenv("NETDISK_USER"))
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument("--fingerprint", metavar="SHA256HEX")
    trust.add_argument("--plaintext", action="store_true")
    commands = parser.add_subparsers(dest="command", required=True)
    for usage in "register", "login", "ls remote?", "put local remote?", "get remote local?":
        name, *paths = usage.split()
        command = commands.add_parser(name)
        for path in paths:
            command.add_argument(path.strip("?"), nargs="?" if path.endswith("?") else None, default="")
    command.add_argument("-f", dest="overwrite", action="store_true", help="replace the local file")
    args = parser.parse_args(namespace=argparse.Namespace(local="", remote=""))
    local = args.local or os.path.basename(args.remote)
    remote = "/" + unicodedata.normalize("NFC", args.remote or os.path.basename(args.local)).lstrip("/")
    try:
        password = os.getenv("NETDISK_PASSWORD") or getpass.getpass()
        client = Client(args.server, args.fingerprint, args.user, password, args.command == "register")
        if args.command == "ls":
            for entry in sorted(client.list(remote.rstrip("/") or "/"), key=lambda entry: entry["path"]):
                name = entry["path"].rpartition("/")[2] + "/" * (entry["kind"] == "directory")
                print("".join(ascii(c)[1:-1] if unicodedata.category(c) in "Cc Cf Cs" else c for c in name))
        elif args.command == "put":
            print("stored", remote, *client.put(args.local, remote))
        elif args.command == "get":
            print("received", local, *client.get(remote, local, args.overwrite))
    except (Exception, KeyboardInterrupt) as error:
        code, message = error.args if isinstance(error, NetdiskError) else (type(error).__name__, error)
        print("netdisk.py:", repr(f"{code}: {message}")[1:-1], file=sys.stderr)
        return next((status for status, codes in EXIT_CODES.items() if code in codes.split()), 1)

if __name__ == "__main__":
    sys.exit(main())
