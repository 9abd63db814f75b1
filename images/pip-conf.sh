#!/usr/bin/env bash
# pip-conf.sh: prints a pip.conf with the index and the proxy that pip on this machine is set to, by a file or by its
# environment; nothing where it is set to none. Folders are left out: a build does not see them.
set -euo pipefail

settings=$(python -m pip config list)
lines=
for key in index-url extra-index-url trusted-host proxy; do
  for layer in :env: global; do  # a variable wins
    value=$(sed -n "s/^${layer}\\.${key}='\\(.*\\)'$/\\1/p" <<<"${settings}" | sed 's/\\n/ /g')
    if [[ -n ${value} ]]; then
      value=$(tr -s '[:space:]' '\n' <<<"${value}" | sed '/^file:/d;/^$/d' | paste -sd ' ' -)
      lines+=${value:+$'\n'"${key} = ${value}"}
      break
    fi
  done
done
if [[ -n ${lines} ]]; then
  echo "[global]${lines}"
fi
