#!/usr/bin/env bash
# local.sh BACKEND [TAG [OPTION…]]: builds a backend's CPU image from nothing but this machine: an engine (engine.sh), a base (base.sh),
# index and certificates as pip here has them, torch's wheel as pip here finds it. Without TAG it gets the name that its backend
# gives it, by which a run finds it, also where TAG is empty; an OPTION is one of `llem images build`. Run with `llem` on the PATH. Prints the tag.
#
# What another machine has otherwise can be said by variables: BASE (an image to start from), WHEELHOUSE (a folder of wheels; torch's is
# added where it has none).
set -euo pipefail

backend=${1:?usage: local.sh BACKEND [TAG [OPTION…]]}
tag=${2:-}
here=$(cd "$(dirname "$0")" && pwd)

bash "${here}/engine.sh" >/dev/null
if [[ -z ${BASE:-} ]] && { ((EUID == 0)) || sudo -n true 2>/dev/null; }; then
  BASE=llem-base
  bash "${here}/base.sh" "${BASE}"
elif [[ -z ${BASE:-} ]]; then
  # debootstrap needs root; without it, the same release from a registry.
  # shellcheck source=/dev/null
  BASE=$(. /etc/os-release && echo "${ID}:${VERSION_CODENAME}")
fi

options=(--target cpu --base "${BASE}" --network host ${tag:+--tag "${tag}"} "${@:3}")
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT

bash "${here}/pip-conf.sh" >"${work}/pip.conf"
if [[ -s ${work}/pip.conf ]]; then
  options+=(--pip-conf "${work}/pip.conf")
fi

certificates=$(python -m pip config get global.cert 2>/dev/null || python -m pip config get :env:.cert 2>/dev/null || true)
if [[ -f ${certificates} ]]; then
  options+=(--ca "${certificates}")
fi

# Torch for CPUs stands on few indices. Where it is installed here, pip here knows one. A Dockerfile without TORCH_INDEX has no
# torch to ask for.
if python -c 'import sys; from llem.plugins import Registry; from llem_docker.images.recipe import recipe
sys.exit("TORCH_INDEX" not in recipe(Registry(), sys.argv[1]).declared())' "${backend}"; then
  torch=$(python -c 'import importlib.metadata as m; print(m.version("torch"))' 2>/dev/null || true)
  if [[ ${torch} == *+cpu ]] && ! compgen -G "${WHEELHOUSE:-}/torch-*.whl" >/dev/null; then
    mkdir "${work}/wheelhouse"
    [[ -z ${WHEELHOUSE:-} ]] || cp "${WHEELHOUSE}"/*.whl "${work}/wheelhouse"
    WHEELHOUSE=${work}/wheelhouse
    python=$(docker run --rm --network host "${BASE}" sh -c 'apt-get update -qq && apt-cache show python3 | sed -n "s/^Version: \([0-9]*\.[0-9]*\).*/\1/p" | head -n 1')
    python -m pip download --quiet --no-deps --only-binary :all: --python-version "${python}" --dest "${WHEELHOUSE}" "torch==${torch%+*}"
  fi
  if compgen -G "${WHEELHOUSE:-}/torch-*+cpu*.whl" >/dev/null; then
    options+=(--build-arg TORCH_INDEX=)
  fi
fi
if [[ -n ${WHEELHOUSE:-} ]]; then
  options+=(--wheelhouse "${WHEELHOUSE}")
fi

llem images build "${backend}" "${options[@]}"
