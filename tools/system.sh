#!/usr/bin/env bash
# See to the programs that some tests use: install them where we may, else say what will not run.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin

# program, Debian package, which tests need it
needs=(
    "redis-server redis-server nearly all tests"
    "chromium chromium tests of the pages in a browser"
    "chromium-headless-shell chromium-headless-shell the same tests, which it makes quicker"
    "bwrap bubblewrap tests of sandboxed local jobs"
    "sshd openssh-server tests of clusters behind SSH"
    "tcsh tcsh tests of clusters behind SSH"
    "curl curl tests of the commands in README.rst"
    "jq jq tests of the commands in README.rst"
    "shellcheck shellcheck tests of the rendered scripts"
    "nginx nginx-light tests behind nginx"
    "systemd-analyze systemd tests of the systemd units"
    "slurmctld slurmctld tests on a real Slurm cluster"
    "slurmd slurmd tests on a real Slurm cluster"
    "slurmdbd slurmdbd tests on a real Slurm cluster"
    "sbatch slurm-client tests on a real Slurm cluster"
    "munged munge tests on a real Slurm cluster"
    "mariadbd mariadb-server tests on a real Slurm cluster"
)

packages=()
tests=()
for line in "${needs[@]}"; do
    read -r program package what <<<"$line"
    if ! command -v "$program" >/dev/null; then
        packages+=("$package")
        tests+=("$what")
    fi
done
if [[ ${#packages[@]} -eq 0 ]]; then
    exit 0
fi

if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # No daemon is to be started here: the tests start their own, on sockets of their own.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    exit 0
fi

printf -v list '%s; ' "${tests[@]}"
echo "missing: ${packages[*]} (will fail or take longer: ${list%; }); sudo apt-get install ${packages[*]}" >&2
