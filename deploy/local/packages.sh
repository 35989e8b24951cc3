#!/bin/sh
# Installs what the stack needs from Debian, if it may; otherwise prints the one command that does.
# Arguments: names of further packages that must be there (wrk, for the bench).
set -eu

missing=""
need() { # package, test…
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

has_file() { for path in "$@"; do [ -e "$path" ] && return; done; return 1; }

need git command -v git
need python3-venv python3 -c 'import ensurepip, venv'
need postgresql has_file /usr/lib/postgresql/*/bin/postgres
need redis-server command -v redis-server
need rabbitmq-server has_file /usr/lib/rabbitmq/bin/rabbitmq-server
for package in "$@"; do need "$package" command -v "$package"; done
[ -n "$missing" ] || exit 0

update="apt-get update -q"
# shellcheck disable=SC2086 # a list of names
install="apt-get install -y -q --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    sudo="sudo "
else
    echo "These Debian packages are missing:$missing. As root, run:" >&2
    echo "    $update && $install" >&2
    exit 1
fi

echo "Installing from Debian:$missing"
${sudo}$update
# The services that Debian starts on its own ports are not ours and may be disabled.
${sudo}env DEBIAN_FRONTEND=noninteractive $install
