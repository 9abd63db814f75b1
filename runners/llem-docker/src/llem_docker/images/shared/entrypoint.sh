#!/bin/sh
# Runs the one experiment whose JSON LLEM_CONFIG_PATH names, and ends with the worker's exit code: 0 done, 1 failed,
# 2 no experiment. Results go beside that file. Words given are run instead, for a look around the image.
set -eu

if [ $# -gt 0 ]; then
    exec "$@"
fi

if [ -z "${LLEM_CONFIG_PATH:-}" ]; then
    echo "llem: LLEM_CONFIG_PATH names no experiment. Mount a job directory and set it, as in: docker run -v \"\$PWD/job:/job\" -e LLEM_CONFIG_PATH=/job/experiment.json IMAGE" >&2
    exit 2
fi

if [ "${LLEM_CONFIG_PATH##*/}" != experiment.json ] || [ ! -r "$LLEM_CONFIG_PATH" ]; then
    echo "llem: LLEM_CONFIG_PATH is $LLEM_CONFIG_PATH, which is no readable file of the name experiment.json." >&2
    exit 2
fi

exec python3 -m llem.worker "$(dirname -- "$LLEM_CONFIG_PATH")"
