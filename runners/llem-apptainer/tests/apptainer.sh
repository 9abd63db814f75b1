#!/usr/bin/env bash
# Makes Apptainer run: the one on the PATH; else apt's, where this release has a package of it; else that of Debian's unstable release,
# which is unpacked beside what is there. For that the C library that it is built for goes along, into ${APPTAINER_LIBC}, and Apptainer's
# own two programs are told to take it: the machine's libraries and its lists of packages stay as they are. As root, or with sudo.
set -euo pipefail

APPTAINER_LIBC=${APPTAINER_LIBC:-/opt/apptainer-libc}
MIRROR=${APPTAINER_MIRROR:-}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

root() { if ((EUID)); then sudo "$@"; else "$@"; fi; }
install() { root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends "$@" >&2; }

if command -v apptainer >/dev/null; then
  apptainer --version
  exit 0
fi

root apt-get update -q >&2
if [[ -n $(apt-cache search --names-only '^apptainer$') ]]; then
  install apptainer
  apptainer --version
  exit 0
fi

[[ $(uname -m) == x86_64 ]] || { echo "there is no package of Apptainer for $(uname -m) that this script knows: https://apptainer.org/docs/admin/latest/installation.html" >&2; exit 1; }
# What mounts images for ordinary users, what the programs link to, and what gives them their loader.
install debian-archive-keyring patchelf squashfs-tools squashfuse fuse-overlayfs fuse3 uidmap libseccomp2 libsqlite3-0

work=$(mktemp -d)
trap 'root rm -rf "$work"' EXIT
if [[ -z $MIRROR ]]; then
  MIRROR=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?' | grep -v security | head -n 1 || true)
fi
echo "deb [signed-by=$KEYRING] ${MIRROR:-http://deb.debian.org/debian} sid main" >"$work/sid.list"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/packages" "$work/root"
cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sid.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$work/lists";
Dir::Cache::Archives "$work/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Architecture "amd64";
CONF
if ((EUID == 0)); then
  echo 'APT::Sandbox::User "root";' >>"$work/apt.conf" # apt's own user may not write into the folder
fi
(
  cd "$work/packages"
  export APT_CONFIG=$work/apt.conf
  apt-get update -q >&2
  apt-get download -q apptainer libc6 >&2
)
for package in "$work"/packages/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done

libraries=usr/lib/x86_64-linux-gnu
root mkdir -p "$APPTAINER_LIBC"
for name in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libresolv.so.2 libnss_files.so.2 libnss_dns.so.2; do
  root cp -a "$work/root/$libraries/$name" "$APPTAINER_LIBC/"
done
root cp -a "$work/root/etc/apptainer" /etc/
root cp -a "$work/root/$libraries/apptainer" "/$libraries/"
root cp -a "$work/root/var/lib/apptainer" /var/lib/
root cp "$work/root/usr/bin/apptainer" "$work/apptainer"
for program in "$work/apptainer" "/$libraries/apptainer/bin/starter"; do
  root patchelf --set-interpreter "$APPTAINER_LIBC/ld-linux-x86-64.so.2" --set-rpath "$APPTAINER_LIBC:/$libraries:/lib/x86_64-linux-gnu" "$program"
done
# Root without CAP_SYS_RESOURCE, as in a container, could give no capabilities on; and systemd, which would make control groups, may be none.
root sed -i -e 's/^root default capabilities = full/root default capabilities = no/' -e 's/^systemd cgroups = yes/systemd cgroups = no/' /etc/apptainer/apptainer.conf
if [[ -e /dev/fuse ]]; then
  root chmod 666 /dev/fuse # an ordinary user mounts images by it
fi
root mv "$work/apptainer" /usr/bin/apptainer # last: it is on the PATH when all of it is there
apptainer --version
