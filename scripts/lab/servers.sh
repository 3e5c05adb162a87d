#!/usr/bin/env bash
# Probes of the kinds that a site has most of, against servers they were not written with: nginx (HTTP, TLS), unbound (DNS), Redis,
# PostgreSQL, NATS, aiosmtpd, Python's websockets, and a chain's node (anvil). Each is seen up, ailing where it can be, and down.
# usage: servers.sh SEAWALL WORK
set -euo pipefail
seawall=$1
work=$(realpath "$2")/servers
anvil=$("$(dirname "$0")/../setup.sh")
rm -rf "$work"
mkdir -p "$work"
chmod 755 "$work"
declare -A servers
trap 'kill "${servers[@]}" 2>/dev/null || true; wait' EXIT
source "$(dirname "$0")/probe.bash"

start() { # name command…
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 & servers[$name]=$!
}

down() { # name target…: once the server is gone
  kill "${servers[$1]}"
  wait "${servers[$1]}" 2>/dev/null || true
  unset "servers[$1]"
  expect 1 connect_refused "${@:2}"
}

printf '[req]\ndistinguished_name = dn\n[dn]\n' >"$work/openssl.cnf" # the system's makes every one an authority
sign() { # name days subject-alternative-name
  openssl req -config "$work/openssl.cnf" -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$2" -subj /CN=localhost \
    -addext "subjectAltName=$3" \
    -keyout "$work/$1.key" -out "$work/$1.pem" 2>"$work/openssl.log" || die "$(cat "$work/openssl.log")"
}
sign own 30 DNS:localhost
sign other 30 DNS:elsewhere.example
cat >"$work/nginx.conf" <<CONF
daemon off;
pid $work/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  ssl_protocols TLSv1.3;
  client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server {
    listen 127.0.0.1:9361;
    location / { default_type application/json; return 200 '{"status":{"db":"up"}}'; }
    location /ill { return 503 "no\n"; }
  }
  server { listen 127.0.0.1:9362 ssl; ssl_certificate $work/own.pem; ssl_certificate_key $work/own.key; return 200; }
  server { listen 127.0.0.1:9363 ssl; ssl_certificate $work/other.pem; ssl_certificate_key $work/other.key; return 200; }
}
CONF
start nginx nginx -c "$work/nginx.conf"
up http://127.0.0.1:9361/
expect 0 "HTTP/1.1 200" http://127.0.0.1:9361/ --json-value '/status/db="up"'
expect 1 status http://127.0.0.1:9361/ill
expect 0 UP tcp://127.0.0.1:9361
expect 0 TLSv1.3 tls://localhost:9362 --ca "$work/own.pem"
expect 1 tls_untrusted tls://localhost:9362
expect 1 tls_name https://localhost:9363/ --ca "$work/other.pem"
down nginx http://127.0.0.1:9361/

start redis redis-server --port 9364 --bind 127.0.0.1 --save '' --dir "$work"
up redis://127.0.0.1:9364
expect 0 UP redis://127.0.0.1:9364
down redis redis://127.0.0.1:9364

as=()
((EUID == 0)) && { as=(runuser -u postgres --); chown postgres "$work"; }
postgres=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
"${as[@]}" "$postgres/initdb" -D "$work/postgres" -A trust >"$work/initdb.log" 2>&1 || die "$(cat "$work/initdb.log")"
start postgres "${as[@]}" "$postgres/postgres" -D "$work/postgres" -p 9365 -c listen_addresses=127.0.0.1 -k "$work/postgres"
up postgres://127.0.0.1:9365
expect 0 UP postgres://127.0.0.1:9365
down postgres postgres://127.0.0.1:9365

start nats nats-server -a 127.0.0.1 -p 9366
up nats://127.0.0.1:9366
expect 0 UP nats://127.0.0.1:9366
down nats nats://127.0.0.1:9366

start smtp /usr/bin/python3 -m aiosmtpd -n -l 127.0.0.1:9367
up smtp://127.0.0.1:9367
expect 0 SMTP smtp://127.0.0.1:9367
down smtp smtp://127.0.0.1:9367

cat >"$work/echo.py" <<'PY'
import asyncio, websockets
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", 9368):
        await asyncio.Future()
asyncio.run(main())
PY
start socket /usr/bin/python3 "$work/echo.py"
up ws://127.0.0.1:9368/
expect 0 UP ws://127.0.0.1:9368/
down socket ws://127.0.0.1:9368/

cat >"$work/unbound.conf" <<CONF
server:
  interface: 127.0.0.1@9369
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "$work"
  pidfile: "$work/unbound.pid"
  use-syslog: no
  local-zone: "example." static
  local-data: "shop.example. A 192.0.2.7"
  local-data: "bare.example. TXT here"
CONF
start unbound unbound -c "$work/unbound.conf"
up dns:shop.example --resolver 127.0.0.1:9369
expect 0 192.0.2.7 dns:shop.example --resolver 127.0.0.1:9369 --answer 192.0.2.7
expect 1 dns_empty dns:bare.example --resolver 127.0.0.1:9369
expect 1 dns_nxdomain dns:gone.example --resolver 127.0.0.1:9369

start anvil "$anvil" --port 9370 --block-time 1
up evm+http://127.0.0.1:9370
expect 0 UP evm+http://127.0.0.1:9370 --max-head-age 30s
down anvil evm+http://127.0.0.1:9370
echo "servers: nginx, unbound, Redis, PostgreSQL, NATS, aiosmtpd, websockets and anvil are told as they are"
