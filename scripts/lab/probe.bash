# What the tests of probes share, once `seawall` is the binary: sourced by them.

die() { echo "$(basename "$0" .sh): FAILED: $*" >&2; exit 1; }

expect() { # code text probe-arguments…
  local code=$1 text=$2 said got=0
  shift 2
  said=$("$seawall" probe "$@" 2>&1) || got=$?
  [[ $got == "$code" && $said == *"$text"* ]] || die "seawall probe $*: exit code $got, not $code with '$text':
$said"
}

up() { # probe-arguments…, until it answers
  for _ in $(seq 150); do
    "$seawall" probe "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  die "seawall probe $*: not up in fifteen seconds: $("$seawall" probe "$@" 2>&1)"
}
