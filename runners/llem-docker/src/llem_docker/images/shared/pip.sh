#!/bin/sh
# pip.sh WORD…: `pip install` in the image's Python, with the build's secrets and the user's wheels, where it was given any.
# Nothing of them stays in the image: a step that runs this mounts them.
set -eu

if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi
if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi
exec python3 -m pip install --no-cache-dir --find-links /wheelhouse "$@"
