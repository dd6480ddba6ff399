package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	payloadMaxBeforeLogin = 4096
	messageMax            = 65536
	dataMax               = 262144
	silence               = 60 * time.Second
)

// Fault is a refusal by the server, or something wrong that the client saw.
type Fault struct{ Code, Message string }

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Entry is a line of a listing.
type Entry struct {
	Path, Kind string
	Size       int64
}

// reply holds what any message of a server may hold; unknown fields are ignored.
type reply struct {
	ID                          uint64
	Type, Code, Message, Digest string
	Offset                      int64
	Count                       int
	Entries                     []Entry
	Entry                       Entry
}

type object map[string]interface{}

// Client is a connection that is logged in. After a Fault of the server it can be used on.
type Client struct {
	conn       net.Conn
	reader     *bufio.Reader
	lastID     uint64
	payloadMax int
}

func dial(server, fingerprint string, plaintext bool) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", server, 8*time.Second)
	if err != nil || plaintext {
		return conn, err
	}
	var seen string
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"netdisk/1"},
		// The server's key is checked instead of a certificate authority; the handshake verifies that it has the key.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			sum := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
			seen = hex.EncodeToString(sum[:])
			if seen != strings.TrimPrefix(strings.ToLower(fingerprint), "sha256:") {
				return &Fault{"untrusted", "the fingerprint is " + seen}
			}
			return nil
		},
	}
	secure := tls.Client(conn, config)
	conn.SetDeadline(time.Now().Add(8 * time.Second))
	if err := secure.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// Connect reaches a server, greets it, and registers or logs in.
func Connect(server, fingerprint string, plaintext bool, user, password, how string) (*Client, error) {
	conn, err := dial(server, fingerprint, plaintext)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, reader: bufio.NewReaderSize(conn, dataMax), payloadMax: payloadMaxBeforeLogin}
	if err = c.send(object{"type": "hello", "version": 1, "software": "netdisk.go/1"}); err == nil {
		_, _, err = c.receive("hello")
	}
	if err == nil {
		_, err = c.ask(how, object{"user": user, "password": password}, "welcome")
	}
	c.payloadMax = 1 + dataMax
	return c, err
}

// List gives the entries one level below a path.
func (c *Client) List(path string) (entries []Entry, err error) {
	for r, err := c.ask("list", object{"path": path}, "entries", "end"); ; r, _, err = c.receive("entries", "end") {
		if err != nil {
			return nil, err
		}
		if r.Type == "end" {
			if r.Count != len(entries) {
				return nil, &Fault{"bad_request", "the listing is not complete"}
			}
			return entries, nil
		}
		entries = append(entries, r.Entries...)
	}
}

// Put stores a local file.
func (c *Client) Put(local, remote string) (size int64, digest string, err error) {
	file, err := os.Open(local)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	status, err := file.Stat()
	if err != nil {
		return 0, "", err
	}
	upload := object{"path": remote, "size": status.Size(), "modified": status.ModTime().UnixMilli()}
	ready, err := c.ask("upload", upload, "ready")
	if err != nil {
		return 0, "", err
	}
	hash, chunk := &blake3{}, make([]byte, 1+dataMax) // a zero byte, and then file bytes
	for {
		n, err := file.Read(chunk[1:])
		if err == io.EOF {
			break
		} else if err != nil {
			return 0, "", err
		}
		hash.update(chunk[1 : 1+n])
		unsent := chunk[:1+n]
		if skip := ready.Offset - size; skip > 0 { // the server has what is before its offset
			if skip > int64(n) {
				skip = int64(n)
			}
			unsent = append([]byte{0}, chunk[1+skip:1+n]...)
		}
		size += int64(n)
		if len(unsent) > 1 {
			if err := c.sendPayload(unsent); err != nil {
				return 0, "", err
			}
		}
	}
	digest = hash.digest()
	if err := c.send(object{"id": c.lastID, "type": "end", "digest": digest}); err != nil {
		return 0, "", err
	}
	for {
		r, _, err := c.receive("stored", "abort")
		if err != nil || r.Type == "stored" { // after an abort comes the fault
			return size, digest, err
		}
	}
}

// Get fetches a file; under its local name it stands whole or not at all.
func (c *Client) Get(remote, local string, overwrite bool) (size int64, digest string, err error) {
	if _, err := os.Lstat(local); err == nil && !overwrite {
		return 0, "", &Fault{"exists", local + " stands there already"}
	}
	ready, err := c.ask("download", object{"path": remote}, "ready")
	if err != nil {
		return 0, "", err
	}
	part, err := os.CreateTemp(filepath.Dir(local), ".netdisk-")
	if err != nil {
		return 0, "", err
	}
	defer os.Remove(part.Name())
	defer part.Close()
	hash := &blake3{}
	for {
		r, data, err := c.receive("data", "end")
		if err != nil {
			return 0, "", err
		}
		if r == nil {
			hash.update(data)
			size += int64(len(data))
			if _, err := part.Write(data); err != nil {
				return 0, "", err
			}
			continue
		}
		if digest = hash.digest(); size != ready.Entry.Size || r.Digest != digest {
			return 0, "", &Fault{"digest_mismatch", "what came is damaged"}
		}
		return size, digest, os.Rename(part.Name(), local)
	}
}

func (c *Client) ask(kind string, fields object, types ...string) (*reply, error) {
	c.lastID++
	fields["id"], fields["type"] = c.lastID, kind
	if err := c.send(fields); err != nil {
		return nil, err
	}
	r, _, err := c.receive(types...)
	return r, err
}

func (c *Client) send(message object) error {
	payload, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(payload) > messageMax || len(payload) > c.payloadMax {
		return &Fault{"bad_request", "a name is too long"}
	}
	return c.sendPayload(payload)
}

func (c *Client) sendPayload(payload []byte) error {
	frame := make([]byte, 4+len(payload))
	binary.BigEndian.PutUint32(frame, uint32(len(payload)))
	copy(frame[4:], payload)
	c.conn.SetDeadline(time.Now().Add(silence))
	_, err := c.conn.Write(frame)
	return err
}

// receive gives the next message, which must be of these types, or file bytes if "data" is one of them.
func (c *Client) receive(types ...string) (*reply, []byte, error) {
	var payload []byte
	for len(payload) == 0 { // a heartbeat is empty
		c.conn.SetDeadline(time.Now().Add(silence))
		var header [4]byte
		if _, err := io.ReadFull(c.reader, header[:]); err != nil {
			return nil, nil, err
		}
		length := binary.BigEndian.Uint32(header[:])
		if int64(length) > int64(c.payloadMax) {
			return nil, nil, &Fault{"bad_request", fmt.Sprintf("the server sent a frame of %d bytes", length)}
		}
		payload = make([]byte, length)
		if _, err := io.ReadFull(c.reader, payload); err != nil {
			return nil, nil, err
		}
	}
	if payload[0] == 0 && types[0] == "data" {
		return nil, payload[1:], nil
	}
	r := &reply{}
	if payload[0] != '{' || len(payload) > messageMax || !utf8.Valid(payload) || json.Unmarshal(payload, r) != nil {
		return nil, nil, &Fault{"bad_request", "the server sent no message"}
	}
	for _, t := range types {
		if r.Type == t && (r.ID == c.lastID || t == "hello") {
			return r, nil, nil
		}
	}
	if r.Code == "" {
		r.Code, r.Message = "bad_request", "unexpected "+r.Type
	}
	return nil, nil, &Fault{r.Code, r.Message}
}
