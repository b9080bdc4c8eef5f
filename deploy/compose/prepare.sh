#!/bin/sh
# Makes what docker-compose.yml needs, once: passwords in secrets/, an empty data/, and the settings
# of this machine in .env. What is there already stays as it is.
#
#   sh deploy/compose/prepare.sh
set -eu
umask 077
cd "$(dirname "$0")/../.."

draw_password() {
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

mkdir -p secrets
[ -s secrets/dashboard_password ] || draw_password > secrets/dashboard_password
[ -s secrets/db_password ] || draw_password > secrets/db_password
# The same password in the form that PostgreSQL's clients read (host:port:database:user:password).
printf '*:*:*:*:%s\n' "$(cat secrets/db_password)" > secrets/pgpass
[ -d data ] || mkdir -m 755 data

# Containers run as you; where you are root, as a user of their own.
user="$(id -u):$(id -g)"
if [ "$(id -u)" = 0 ]; then
    user=10001:10001
    chown -R "$user" secrets
fi

if [ ! -e .env ]; then
    if command -v nvidia-smi > /dev/null; then
        printf 'COMPOSE_PROFILES=gpu\nSWEEP_WORKERS=1\n'
    else
        printf 'COMPOSE_PROFILES=cpu\nSWEEP_WORKERS=%s\n' "$(nproc)"
        printf 'SWEEP_TORCH=cpu\n'
    fi > .env
    printf 'SWEEP_USER=%s\n' "$user" >> .env
fi
