#!/bin/sh
# Makes plain.pcap, tls.pcap and tls.trace anew; run it as a user who may capture on loopback (root, or CAP_NET_RAW).
# Usage: make.sh PATH-OF-NETDISK
set -eu
here=$(cd "$(dirname "$0")" && pwd)
netdisk=$1
work=$(mktemp -d)
export NETDISK_HOME="$work/config" NETDISK_PASSWORD="correct horse"

capture() { # NAME SERVER-OPTION
  "$netdisk" serve --listen 127.0.0.1:8001 --data "$work/$1" $2 >"$work/$1.out" 2>/dev/null &
  server=$!
  until grep -q listening "$work/$1.out"; do sleep 0.1; done
  if [ "$1" = tls ]; then "$netdisk" register alice --accept-new --quiet; fi
  tcpdump --immediate-mode -i lo -U -w "$here/$1.pcap" "tcp port 8001" 2>"$work/$1.err" &
  tcpdump=$!
  until grep -q "listening on" "$work/$1.err"; do sleep 0.1; done
  if [ "$1" = tls ]; then "$netdisk" --trace "$here/tls.trace" mkdir docs >"$work/said"; else python3 "$here/session.py" 127.0.0.1:8001; fi
  sleep 1
  kill -INT "$tcpdump"; wait "$tcpdump" || true
  kill "$server"; wait "$server" || true
}

capture plain --plaintext
capture tls ""
rm -r "$work"
