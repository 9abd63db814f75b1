#!/usr/bin/env bash
# Makes a Docker engine answer: the one that runs; else one that is installed and started here, on Debian or Ubuntu, as root
# or with sudo. It needs no init system. Logs of an engine started here go to ${DOCKERD_LOG}.
set -euo pipefail

DOCKERD_LOG=${DOCKERD_LOG:-${TMPDIR:-/tmp}/dockerd.log}
DOCKERD_OPTIONS=${DOCKERD_OPTIONS:-}

root() { if ((EUID)); then sudo "$@"; else "$@"; fi; }
answers() { docker version --format '{{.Server.Version}}' 2>/dev/null; }

if answers; then
  exit 0
fi

if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null; then
  echo "installing docker.io and iptables" >&2
  root apt-get update -q >&2
  root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends docker.io iptables >&2
  hash -r
fi

if ! answers >/dev/null && ! pgrep -x dockerd >/dev/null; then
  echo "starting dockerd, log in ${DOCKERD_LOG}" >&2
  read -ra options <<<"${DOCKERD_OPTIONS}"
  ((EUID == 0)) || options+=(--group "$(id -gn)") # the socket is for whoever starts it
  root true # a password is asked for here, not in the background
  root setsid nohup dockerd "${options[@]}" >"${DOCKERD_LOG}" 2>&1 </dev/null &
fi

for _ in $(seq 60); do
  if answers; then
    exit 0
  fi
  sleep 1
done
echo "no Docker engine answers after 60 s; the end of ${DOCKERD_LOG}:" >&2
tail -n 20 "${DOCKERD_LOG}" >&2 || true
exit 1
