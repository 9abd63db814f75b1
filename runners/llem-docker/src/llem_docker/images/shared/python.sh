#!/bin/sh
# python.sh PACKAGE…: installs Python, certificates and these packages of Debian or Ubuntu, and makes /opt/llem, the Python
# environment of the image.
set -eu

export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends ca-certificates python3 python3-venv "$@"
rm -rf /var/lib/apt/lists/*
python3 -m venv /opt/llem
