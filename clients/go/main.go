// A small client for the netdisk protocol, written from PROTOCOL.md. It needs Go 1.19 and its standard library alone.
// It sends names as they are typed: bringing them into normalisation form C, as PROTOCOL.md recommends, is left to you.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"unicode"
)

// By the code of a fault; for all others it is 1.
var exitCodes = map[int]string{
	2: "bad_path bad_name bad_password usage", 4: "login_refused", 5: "untrusted",
	3: "timed_out busy shutting_down unreachable", 6: "not_found", 8: "size_mismatch digest_mismatch corrupt changed",
	7: "name_taken registration_closed exists not_empty not_a_directory not_a_file quota_exceeded full", 130: "cancelled",
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func absolute(remote string) string { return "/" + strings.Trim(remote, "/") }

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func run() error {
	server := flag.String("server", environment("NETDISK_SERVER", "127.0.0.1:8001"), "HOST:PORT")
	user := flag.String("user", os.Getenv("NETDISK_USER"), "the user; the password is in NETDISK_PASSWORD")
	fingerprint := flag.String("fingerprint", "", "the server's fingerprint, SHA256HEX")
	plaintext := flag.Bool("plaintext", false, "no TLS")
	overwrite := flag.Bool("f", false, "replace the local file")
	flag.Parse()
	command, first, second := flag.Arg(0), flag.Arg(1), flag.Arg(2)
	password := os.Getenv("NETDISK_PASSWORD")
	known := map[string]bool{"register": true, "login": true, "ls": true, "put": first != "", "get": first != ""}
	if !known[command] || *user == "" || password == "" || *plaintext == (*fingerprint != "") {
		return &Fault{"usage", "--user NAME (--plaintext | --fingerprint SHA256HEX) [-f] " +
			"(register | login | ls [REMOTE] | put LOCAL [REMOTE] | get REMOTE [LOCAL]), and NETDISK_PASSWORD"}
	}
	how := "login"
	if command == "register" {
		how = command
	}
	client, err := Connect(*server, *fingerprint, *plaintext, *user, password, how)
	if err != nil {
		return err
	}
	defer client.conn.Close()
	switch command {
	case "ls":
		entries, err := client.List(absolute(first))
		sort.Slice(entries, func(i, j int) bool { return entries[i].Path < entries[j].Path })
		for _, entry := range entries {
			name := printable(path.Base(entry.Path))
			if entry.Kind == "directory" {
				name += "/"
			}
			fmt.Println(name)
		}
		return err
	case "put":
		if second == "" {
			second = filepath.Base(first)
		}
		size, digest, err := client.Put(first, absolute(second))
		if err == nil {
			fmt.Println("stored", absolute(second), size, digest)
		}
		return err
	case "get":
		if second == "" {
			second = path.Base(first)
		}
		size, digest, err := client.Get(absolute(first), second, *overwrite)
		if err == nil {
			fmt.Println("received", second, size, digest)
		}
		return err
	}
	return nil
}

func exitCode(err error) int {
	var fault *Fault
	var network net.Error
	switch {
	case errors.As(err, &fault):
		for status, codes := range exitCodes {
			for _, code := range strings.Fields(codes) {
				if code == fault.Code {
					return status
				}
			}
		}
	case errors.Is(err, fs.ErrNotExist):
		return 6
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 3
	}
	return 1
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "netdisk.go:", printable(err.Error()))
		os.Exit(exitCode(err))
	}
}
