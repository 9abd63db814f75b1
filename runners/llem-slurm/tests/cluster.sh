#!/usr/bin/env bash
# A Slurm cluster of two nodes on this machine, as root, from Debian's packages and nothing else.
#
#   cluster.sh start DIR         everything below DIR; afterwards DIR/slurm.conf is for SLURM_CONF
#   cluster.sh stop DIR          ends it, whatever is left of it
#   cluster.sh node DIR NAME     (re)starts one node
#   cluster.sh kill DIR NAME     kills a node with everything that runs on it, as a power cut does
#
# Each node has a network, a host name, processes and mounts of its own; they share the file system, as a cluster does.
# munge, the controller and the accounting database are the packages' own programs, at other places than the system's.
set -euo pipefail

command=$1 dir=$(realpath -m "$2")
here=$(cd "$(dirname "$0")" && pwd)
nodes=(n1 n2)
bridge=llemslurm
net=10.213.77
export SLURM_CONF=$dir/slurm.conf PATH=$PATH:/usr/sbin:/sbin

wait_for() {  # wait_for SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >"$dir/last-try" 2>&1; do
    if ((SECONDS > end)); then
      echo "cluster.sh: $what did not come up" >&2
      cat "$dir/last-try" >&2
      tail -n 20 "$dir"/log/* >&2 || true
      exit 1
    fi
    sleep 0.3
  done
}

configure() {
  mkdir -p "$dir"/{log,state,run,db} "$dir"/spool/{n1,n2}
  chmod 755 "$dir"
  local device
  for device in gpu0 gpu1; do  # what a node offers as GPUs: devices that can be opened and are none
    [[ -e $dir/$device ]] || mknod -m 666 "$dir/$device" c 1 3
  done
  [[ -e $dir/munge.key ]] || (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
  sed -e "s#@DIR@#$dir#g" -e "s#@HOST@#$(hostname -s)#g" -e "s#@NET@#$net#g" "$here/slurm.conf.in" >"$dir/slurm.conf"
  sed -e "s#@DIR@#$dir#g" "$here/gres.conf.in" >"$dir/gres.conf"
  (umask 077 && sed -e "s#@DIR@#$dir#g" -e "s#@HOST@#$(hostname -s)#g" "$here/slurmdbd.conf.in" >"$dir/slurmdbd.conf")
  if [[ -d /sys/fs/cgroup/memory ]]; then  # where the kernel can hold a job to its memory, it does
    printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainRAMSpace=yes\n' >"$dir/cgroup.conf"
    sed -i 's#^TaskPlugin=.*#TaskPlugin=task/cgroup#' "$dir/slurm.conf"
  fi
}

database() {
  mariadb-install-db --no-defaults --user=root --datadir="$dir/db" --auth-root-authentication-method=normal \
    --skip-test-db >"$dir/log/install-db" 2>&1
  mariadbd --no-defaults --user=root --datadir="$dir/db" --socket="$dir/run/db.sock" --pid-file="$dir/run/db.pid" \
    --port=26306 --bind-address=127.0.0.1 --innodb-flush-log-at-trx-commit=0 --skip-log-bin >"$dir/log/db" 2>&1 &
  wait_for 60 "the database" mariadb-admin --no-defaults --socket="$dir/run/db.sock" ping
  mariadb --no-defaults --socket="$dir/run/db.sock" -e "
    create database accounting; create user slurm@'127.0.0.1' identified by 'slurm'; create user slurm@localhost
    identified by 'slurm'; grant all on accounting.* to slurm@'127.0.0.1'; grant all on accounting.* to slurm@localhost"
  SLURM_CONF=$dir/slurm.conf slurmdbd -D >"$dir/log/slurmdbd.out" 2>&1 &
  echo $! >"$dir/run/slurmdbd.own.pid"
  wait_for 60 "slurmdbd" sacctmgr -i add cluster llem
  sacctmgr -i add account lab >/dev/null
  sacctmgr -i add account small >/dev/null
  sacctmgr -i add user root account=lab >/dev/null
  sacctmgr -i add user root account=small >/dev/null
  sacctmgr -i modify user root where account=small set maxsubmitjobs=5 >/dev/null
}

network() {
  ip link add "$bridge" type bridge
  ip addr add "$net.1/24" dev "$bridge"
  ip link set "$bridge" up
  local name number=1
  for name in "${nodes[@]}"; do
    number=$((number + 1))
    ip netns add "llem-$name"
    ip link add "llem-$name" type veth peer name eth0 netns "llem-$name"
    ip link set "llem-$name" master "$bridge" up
    ip -n "llem-$name" addr add "$net.$number/24" dev eth0
    ip -n "llem-$name" link set eth0 up
    ip -n "llem-$name" link set lo up
  done
}

node() {  # the node's first process is a shell: when it is killed, the kernel kills everything on the node
  setsid nsenter --net="/run/netns/llem-$1" unshare --fork --kill-child --pid --mount-proc --uts --mount --propagation slave \
    bash -c "hostname $1; slurmd -D & while :; do wait; sleep 60; done" >"$dir/log/$1.out" 2>&1 </dev/null &
  echo $! >"$dir/run/$1.pid"
}

kill_node() {
  local first
  [[ -e $dir/run/$1.pid ]] || return 0
  first=$(pgrep -P "$(cat "$dir/run/$1.pid")" || true)
  [[ -z $first ]] || kill -KILL "$first" || true
  kill -KILL "$(cat "$dir/run/$1.pid")" 2>/dev/null || true
  rm -f "$dir/run/$1.pid"
}

is_idle() { [[ $(sinfo -h -o %T | sort -u) == idle ]]; }

start() {
  stop
  rm -rf "${dir:?}"/{db,state,spool,run,log}
  configure
  network
  munged --force --key-file="$dir/munge.key" --socket="$dir/run/munge.sock" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/log/munged" --seed-file="$dir/run/munge.seed"
  database
  slurmctld -c -D >"$dir/log/slurmctld.out" 2>&1 </dev/null &
  echo $! >"$dir/run/slurmctld.own.pid"
  wait_for 60 "slurmctld" scontrol show config
  local name
  for name in "${nodes[@]}"; do node "$name"; done
  wait_for 90 "the nodes" is_idle
}

stop() {
  local name file pid
  for name in "${nodes[@]}"; do kill_node "$name"; done
  for file in "$dir"/run/{slurmctld.own,slurmdbd.own,munged,db}.pid; do
    if [[ -e $file ]]; then
      pid=$(cat "$file")
      kill -KILL "$pid" 2>/dev/null || true
      rm -f "$file"
    fi
  done
  for name in "${nodes[@]}"; do
    ip netns del "llem-$name" 2>/dev/null || true
    ip link del "llem-$name" 2>/dev/null || true
  done
  ip link del "$bridge" 2>/dev/null || true
}

case $command in
  start) start ;;
  stop) stop ;;
  node) kill_node "$3"; node "$3" ;;
  kill) kill_node "$3" ;;
  *) sed -n '2,10p' "$0" >&2; exit 2 ;;
esac
