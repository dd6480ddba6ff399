#!/usr/bin/env node
// A small client for the netdisk protocol, written from PROTOCOL.md. It needs Node.js 18 and nothing else.
import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";
import { parseArgs } from "node:util";

const PAYLOAD_MAX_BEFORE_LOGIN = 4096, MESSAGE_MAX = 65536, DATA_MAX = 262144, SILENCE_MS = 60000;
const EXIT_CODES = { // by the code of a fault or of a Node.js error; for all others it is 1
  2: "bad_path bad_name bad_password usage", 4: "login_refused", 5: "untrusted",
  3: "timed_out busy shutting_down unreachable ECONNREFUSED ECONNRESET EPIPE ENOTFOUND",
  6: "not_found ENOENT", 8: "size_mismatch digest_mismatch corrupt changed", 130: "cancelled",
  7: "name_taken registration_closed exists not_empty not_a_directory not_a_file quota_exceeded full EEXIST",
};

class NetdiskError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function check(condition, code, message) {
  if (!condition) throw new NetdiskError(code, message);
}

/** The BLAKE3 hash, chunk by chunk, with a stack of the subtrees that are complete. */
class Blake3 {
  static IV = Uint32Array.of(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
  static PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
  static START = 1; static END = 2; static PARENT = 4; static ROOT = 8;
  chunk = Buffer.alloc(0); chunks = 0; stack = [];

  static compress(chaining, block, counter, length, flags) {
    const s = new Uint32Array(16);
    s.set(chaining);
    s.set(Blake3.IV.subarray(0, 4), 8);
    s.set([counter, Math.floor(counter / 2 ** 32), length, flags], 12);
    const g = (a, b, c, d, x, y) => {
      s[a] = s[a] + s[b] + x; s[d] ^= s[a]; s[d] = (s[d] >>> 16) | (s[d] << 16);
      s[c] += s[d]; s[b] ^= s[c]; s[b] = (s[b] >>> 12) | (s[b] << 20);
      s[a] = s[a] + s[b] + y; s[d] ^= s[a]; s[d] = (s[d] >>> 8) | (s[d] << 24);
      s[c] += s[d]; s[b] ^= s[c]; s[b] = (s[b] >>> 7) | (s[b] << 25);
    };
    for (let round = 0, m = block; round < 7; round++) {
      for (let i = 0; i < 4; i++) g(i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1]);
      for (let i = 0; i < 4; i++) g(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i]);
      m = Blake3.PERMUTATION.map((from) => m[from]);
    }
    return s.slice(0, 8).map((word, i) => word ^ s[i + 8]);
  }

  /** The chaining value of a chunk of at most 1,024 bytes. */
  static hashChunk(bytes, counter, root) {
    let chaining = Blake3.IV;
    for (let at = 0; at === 0 || at < bytes.length; at += 64) {
      const block = Buffer.alloc(64), isLast = at + 64 >= bytes.length;
      const length = bytes.copy(block, 0, at, at + 64);
      const words = Uint32Array.from({ length: 16 }, (_, i) => block.readUInt32LE(4 * i));
      const flags = (at === 0 ? Blake3.START : 0) | (isLast ? Blake3.END | root : 0);
      chaining = Blake3.compress(chaining, words, counter, length, flags);
    }
    return chaining;
  }

  static hashParent(left, right, root) {
    return Blake3.compress(Blake3.IV, Uint32Array.of(...left, ...right), 0, 64, Blake3.PARENT | root);
  }

  update(bytes) {
    this.chunk = Buffer.concat([this.chunk, bytes]);
    while (this.chunk.length > 1024) { // the last chunk waits for digest()
      let value = Blake3.hashChunk(this.chunk.subarray(0, 1024), this.chunks++, 0);
      for (let count = this.chunks; count % 2 === 0; count /= 2) value = Blake3.hashParent(this.stack.pop(), value, 0);
      this.stack.push(value);
      this.chunk = this.chunk.subarray(1024);
    }
  }

  digest() {
    const isRoot = (left) => (left === 0 ? Blake3.ROOT : 0);
    let value = Blake3.hashChunk(this.chunk, this.chunks, isRoot(this.stack.length));
    for (let left = this.stack.length; left > 0; left--) {
      value = Blake3.hashParent(this.stack[left - 1], value, isRoot(left - 1));
    }
    const bytes = Buffer.alloc(32);
    value.forEach((word, i) => bytes.writeUInt32LE(word, 4 * i));
    return bytes.toString("hex");
  }
}

/** A connection that is logged in. After a fault it can be used on; after any other error drop it. */
class Client {
  lastId = 0; payloadMax = PAYLOAD_MAX_BEFORE_LOGIN; pending = Buffer.alloc(0);

  static async connect(server, fingerprint, user, password, register) {
    const client = new Client(), [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(server) ?? [];
    check(host, "usage", `${server} is not HOST:PORT`);
    // The server's key is checked instead of a certificate authority.
    const options = { host, port: Number(port), minVersion: "TLSv1.3", ALPNProtocols: ["netdisk/1"], rejectUnauthorized: false };
    client.socket = fingerprint === undefined ? net.connect(options) : tls.connect(options);
    client.socket.setNoDelay(true).setTimeout(SILENCE_MS, () => client.socket.destroy(new NetdiskError("timed_out", "the server is silent")));
    client.incoming = client.socket[Symbol.asyncIterator]();
    client.socket.on("error", () => {}); // it comes out of the iterator and of write()
    await new Promise((resolve, reject) => {
      client.socket.once(fingerprint === undefined ? "connect" : "secureConnect", resolve).once("error", reject);
    });
    if (fingerprint !== undefined) {
      const spki = client.socket.getPeerX509Certificate().publicKey.export({ type: "spki", format: "der" });
      const seen = crypto.createHash("sha256").update(spki).digest("hex");
      check(seen === fingerprint.toLowerCase().replace("sha256:", ""), "untrusted", `the fingerprint is ${seen}`);
    }
    await client.send({ type: "hello", version: 1, software: "netdisk.mjs/1" });
    await client.receive("hello");
    await client.request(register ? "register" : "login", { user, password });
    await client.receive("welcome");
    client.payloadMax = 1 + DATA_MAX;
    return client;
  }

  async list(remote) {
    await this.request("list", { path: remote });
    const entries = [];
    for (;;) {
      const message = await this.receive("entries", "end");
      if (message.type === "entries") {
        entries.push(...message.entries);
      } else {
        check(message.count === entries.length, "bad_request", "the listing is not complete");
        return entries;
      }
    }
  }

  async put(local, remote) {
    const file = fs.openSync(local), status = fs.fstatSync(file), hash = new Blake3(), chunk = Buffer.alloc(DATA_MAX);
    await this.request("upload", { path: remote, size: status.size, modified: Math.trunc(status.mtimeMs) });
    const { offset } = await this.receive("ready");
    let size = 0;
    for (let count; (count = fs.readSync(file, chunk)) > 0; size += count) {
      hash.update(chunk.subarray(0, count));
      const unsent = chunk.subarray(Math.min(count, Math.max(0, offset - size)), count); // the server has what is before
      if (unsent.length > 0) await this.sendPayload(Buffer.concat([Buffer.of(0), unsent]));
    }
    fs.closeSync(file);
    const digest = hash.digest();
    await this.send({ id: this.lastId, type: "end", digest });
    while ((await this.receive("stored", "abort")).type === "abort"); // the server wanted no more; its fault comes next
    return [size, digest];
  }

  async get(remote, local, overwrite) {
    check(overwrite || !fs.existsSync(local), "exists", `${local} stands there already`);
    await this.request("download", { path: remote });
    const { entry } = await this.receive("ready"), hash = new Blake3();
    const folder = fs.mkdtempSync(path.join(path.dirname(local), ".netdisk-")), part = path.join(folder, "part");
    try {
      const file = fs.openSync(part, "wx");
      let size = 0, frame;
      while (Buffer.isBuffer(frame = await this.receive("data", "end"))) {
        for (let at = 0; at < frame.length;) at += fs.writeSync(file, frame, at);
        hash.update(frame);
        size += frame.length;
      }
      fs.closeSync(file);
      check(size === entry.size && frame.digest === hash.digest(), "digest_mismatch", "what came is damaged");
      fs.renameSync(part, local);
      return [size, frame.digest];
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }

  request(type, fields) {
    return this.send({ id: ++this.lastId, type, ...fields });
  }

  send(message) {
    const payload = Buffer.from(JSON.stringify(message));
    check(payload.length <= Math.min(this.payloadMax, MESSAGE_MAX), "bad_request", "a name is too long");
    return this.sendPayload(payload);
  }

  sendPayload(payload) {
    const frame = Buffer.alloc(4 + payload.length);
    frame.writeUInt32BE(payload.length);
    payload.copy(frame, 4);
    return new Promise((resolve, reject) => this.socket.write(frame, (error) => (error ? reject(error) : resolve())));
  }

  /** Exactly so many bytes, however often it takes: what came too much waits for the next call. */
  async read(length) {
    const pieces = [this.pending];
    for (let have = this.pending.length; have < length;) {
      const { value, done } = await this.incoming.next();
      check(!done, "unreachable", "the server closed the connection");
      pieces.push(value);
      have += value.length;
    }
    const all = Buffer.concat(pieces);
    this.pending = all.subarray(length);
    return all.subarray(0, length);
  }

  /** The next message, which must be of these types, or file bytes if "data" is one of them. */
  async receive(...types) {
    let length = 0;
    while (length === 0) length = (await this.read(4)).readUInt32BE(); // 0 is a heartbeat
    check(length <= this.payloadMax, "bad_request", `the server sent a frame of ${length} bytes`);
    const payload = await this.read(length);
    if (payload[0] === 0 && types.includes("data")) return payload.subarray(1);
    check(payload[0] === 0x7b && length <= MESSAGE_MAX, "bad_request", "the server sent no message");
    const message = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    check(types.includes(message.type) && (message.id ?? 0) === this.lastId, message.code ?? "bad_request",
      message.message ?? `unexpected ${message.type}`);
    return message;
  }
}

const printable = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

async function main() {
  const text = { type: "string" }, flag = { type: "boolean" };
  const { values: options, positionals: [command, first, second] } = parseArgs({
    options: { server: text, user: text, fingerprint: text, plaintext: flag, overwrite: { ...flag, short: "f" } }, allowPositionals: true,
  });
  const usage = "netdisk.mjs [--server HOST:PORT] --user NAME (--plaintext | --fingerprint SHA256HEX) "
    + "(register | login | ls [REMOTE] | put LOCAL [REMOTE] | get REMOTE [LOCAL] [-f])";
  const user = options.user ?? process.env.NETDISK_USER, password = process.env.NETDISK_PASSWORD;
  const isUsable = ["register", "login", "ls"].includes(command) || (["put", "get"].includes(command) && first);
  check(isUsable && user && password && !options.plaintext === !!options.fingerprint, "usage", `${usage}; NETDISK_PASSWORD`);
  const absolute = (name) => "/" + name.normalize("NFC").replace(/^\/+/, "").replace(/\/+$/, "");
  const server = options.server ?? process.env.NETDISK_SERVER ?? "127.0.0.1:8001";
  const client = await Client.connect(server, options.fingerprint, user, password, command === "register");
  if (command === "ls") {
    for (const entry of (await client.list(absolute(first ?? ""))).sort((a, b) => (a.path < b.path ? -1 : 1))) {
      console.log(printable(path.posix.basename(entry.path)) + (entry.kind === "directory" ? "/" : ""));
    }
  } else if (command === "put") {
    const remote = absolute(second ?? path.basename(first));
    console.log("stored", remote, ...await client.put(first, remote));
  } else if (command === "get") {
    const local = second ?? path.posix.basename(first);
    console.log("received", local, ...await client.get(absolute(first), local, options.overwrite));
  }
  client.socket.end();
}

main().catch((error) => {
  console.error(`netdisk.mjs: ${printable(`${error.code ?? error.name}: ${error.message}`)}`);
  const found = Object.entries(EXIT_CODES).find(([, codes]) => codes.split(" ").includes(error.code));
  process.exit(found ? Number(found[0]) : 1);
});
