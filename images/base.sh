#!/usr/bin/env bash
# base.sh NAME: makes sure that there is a base image of that name, of this machine's own Debian or Ubuntu release, without
# a registry: debootstrap from the mirror and by the proxy that apt here is set to (BASE_MIRROR to use another mirror), then
# docker import. Needs root, or sudo.
set -euo pipefail

root() { if ((EUID)); then sudo "$@"; else "$@"; fi; }

name=${1:?usage: base.sh NAME}
if docker image inspect "${name}" >/dev/null 2>&1; then
  exit 0
fi

if ! command -v debootstrap >/dev/null; then
  root apt-get update -q >&2
  root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends debootstrap >&2
fi

# shellcheck source=/dev/null
. /etc/os-release
mirror=${BASE_MIRROR:-$(bash "$(dirname "$0")/mirror.sh" "${ID}" "${VERSION_CODENAME}")}
components=main
[[ ${ID} != ubuntu ]] || components=main,universe

# debootstrap knows no settings of apt: what apt's files say of a proxy goes along in its environment.
proxy=${http_proxy:-}
if [[ -z ${proxy} ]]; then
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
fi
[[ ${proxy} != DIRECT ]] || proxy=

folder=$(root mktemp -d) # its owner and mode become those of / in the image
trap 'root rm -rf "${folder}"' EXIT
echo "making ${name}: ${ID} ${VERSION_CODENAME} from ${mirror}" >&2
root env ${proxy:+http_proxy="${proxy}"} debootstrap --variant=minbase --components="${components}" "${VERSION_CODENAME}" "${folder}" "${mirror}" >&2
# shellcheck disable=SC2016 # it is the other shell that expands it
root sh -c 'rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*' - "${folder}"
root tar -C "${folder}" --numeric-owner -c . | docker import --change 'CMD ["/bin/sh"]' - "${name}" >&2
