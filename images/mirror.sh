#!/usr/bin/env bash
# mirror.sh ID CODENAME: prints the mirror that apt on this machine is set to for a release of Debian or Ubuntu, else the
# distribution's own.
set -euo pipefail

id=${1:?usage: mirror.sh ID CODENAME}
codename=${2:?usage: mirror.sh ID CODENAME}

case ${id} in
  ubuntu) own=http://archive.ubuntu.com/ubuntu ;;
  debian) own=http://deb.debian.org/debian ;;
  *) echo "mirror.sh: debootstrap makes Debian and Ubuntu; this is ${id}" >&2; exit 1 ;;
esac

# Of all sources, the first whose release and component are the distribution's, and whose path ends with its name: others
# keep packages for the same release in places of their own.
found=
if command -v apt-get >/dev/null; then
  # shellcheck disable=SC2016 # apt fills in what has a dollar
  found=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk -v id="${id}" -v release="${codename}" '
      !found && $2 == release && $3 == "main" && $1 ~ "^(https?|file)://?.*/" id "(-ports)?/?$" { print $1; found = 1 }') || true
fi
echo "${found:-${own}}"
