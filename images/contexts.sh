#!/usr/bin/env bash
# contexts.sh FOLDER: writes the build context of every image of the bake file into FOLDER. Run with `llem` on the PATH.
set -euo pipefail

folder=${1:?usage: contexts.sh FOLDER}
for backend in pytorch vllm sglang; do
  llem images build "${backend}" --context "${folder}/${backend}"
done
