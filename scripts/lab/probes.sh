#!/usr/bin/env bash
# Probes against servers they were not written with: nginx (HTTP/2), chrony (NTP), Google's gRPC, the kernel's own echo, unbound (UDP).
# usage: probes.sh SEAWALL WORK
set -euo pipefail
seawall=$1
work=$(realpath "$2")/probes
lab=$(realpath "$(dirname "$0")")
rm -rf "$work"
mkdir -p "$work"
chmod 755 "$work"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait' EXIT
source "$(dirname "$0")/probe.bash"

issue() { # name subject extension…
  local name=$1 subject=$2
  shift 2
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$subject" \
    -keyout "$work/$name.key" -out "$work/$name.pem" "$@" 2>/dev/null
}
issue ca 'An authority'
issue own localhost -CA "$work/ca.pem" -CAkey "$work/ca.key" \
  -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE
cat >"$work/nginx.conf" <<CONF
daemon off;
pid $work/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server {
    listen 127.0.0.1:9381 http2;
    listen 127.0.0.1:9382 ssl http2;
    listen 127.0.0.1:9383 ssl;
    ssl_certificate $work/own.pem;
    ssl_certificate_key $work/own.key;
    location / { return 200 "over \$server_protocol\n"; }
  }
}
CONF
nginx -c "$work/nginx.conf" 2>"$work/nginx.log" &
pids+=($!)
up http://127.0.0.1:9381/ --http 2
expect 0 "HTTP/2 200" http://127.0.0.1:9381/ --http 2 --matches '^over HTTP/2'
expect 0 "HTTP/2 200" https://localhost:9382/ --http 2 --ca "$work/ca.pem" --contains 'over HTTP/2.0'
expect 1 tls_alpn https://localhost:9383/ --http 2 --ca "$work/ca.pem"
expect 0 "HTTP/1.1 200" https://localhost:9382/ --ca "$work/ca.pem"
expect 1 body_pattern http://127.0.0.1:9381/ --http 2 --matches '^under'

/usr/bin/python3 "$lab/health.py" 127.0.0.1:9384 2>"$work/grpc.log" &
pids+=($!)
up grpc://127.0.0.1:9384
expect 0 SERVING grpc://127.0.0.1:9384/pay.v1
expect 1 grpc_not_serving grpc://127.0.0.1:9384/slow.v1
expect 1 "NOT_FOUND: unknown service" grpc://127.0.0.1:9384/gone.v1
expect 1 malformed grpc://127.0.0.1:9381

# -x: the clock of this machine is left as it is. A server that follows nobody says so until it is told to trust itself.
printf 'local stratum 3\nallow 127.0.0.1\nport 9385\ncmdport 0\nbindaddress 127.0.0.1\npidfile %s\n' "$work/chrony.pid" >"$work/chrony.conf"
chronyd -x -d -u root -f "$work/chrony.conf" 2>"$work/chrony.log" &
pids+=($!)
up ntp://127.0.0.1:9385
expect 0 "stratum 3" ntp://127.0.0.1:9385 --max-offset 50ms

cat >"$work/unbound.conf" <<CONF
server:
  interface: 127.0.0.1@9386
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "$work"
  pidfile: "$work/unbound.pid"
  use-syslog: no
  local-zone: "example." static
  local-data: "shop.example. A 192.0.2.7"
CONF
unbound -c "$work/unbound.conf" 2>"$work/unbound.log" &
pids+=($!)
# What is the address of shop.example? (RFC 1035): 192.0.2.7 is in the answer.
question=1234010000010000000000000473686f70076578616d706c650000010001
up udp://127.0.0.1:9386 --body-hex "$question"
expect 0 "UP" udp://127.0.0.1:9386 --body-hex "$question" --hex c0000207
expect 1 body_bytes udp://127.0.0.1:9386 --body-hex "$question" --hex c0000208
expect 1 connect_refused udp://127.0.0.1:9399 --body-hex "$question"

# In a network of their own, whose settings are its own as well.
echoes() { # groups; those of a new network if there are none, which is nobody
  unshare --user --map-root-user --net sh -euc 'ip link set lo up; [ -z "$1" ] || echo "$1" >/proc/sys/net/ipv4/ping_group_range
    for to in 127.0.0.1 "[::1]"; do "$2" probe "icmp://$to" --timeout 3s || exit $?; done' sh "$1" "$seawall"
}
echoes "0 0" >"$work/icmp.txt" || die "no echo: $(cat "$work/icmp.txt")"
[[ $(grep -c "an echo after" "$work/icmp.txt") == 2 ]] || die "no echo: $(cat "$work/icmp.txt")"
got=0
echoes "" >"$work/icmp.txt" || got=$?
[[ $got == 2 ]] && grep -q ping_group_range "$work/icmp.txt" || die "exit code $got: $(cat "$work/icmp.txt")"
echo "probes: nginx, gRPC, chrony, unbound and the kernel's echo are told as they are"
