#!/bin/sh
# Makes the secrets that compose.yaml mounts, in infra/deploy/secrets (not in git): random passwords and the addresses made of
# them. What is there already stays. Also: alert_routes and gateway_secret, which are yours to fill in.
set -eu
umask 077
folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
cd "$folder"

for name in postgres migrator worker dispatcher gateway analyst prefect; do
    [ -s "${name}_password" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "${name}_password"
done
address() { printf 'postgresql://%s:%s@postgres:5432/kairos' "$1" "$(cat "$1_password")"; }
address migrator > migrator_url
address worker > worker_url
address dispatcher > dispatcher_url
address analyst > analyst_url
printf 'postgresql+asyncpg://prefect:%s@postgres:5432/prefect' "$(cat prefect_password)" > prefect_url
[ -s gateway_secret ] || head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > gateway_secret
[ -s alert_routes ] || printf '*=file:/var/lib/kairos/alerts.jsonl\n' > alert_routes
# The containers read them as user 10001, who owns nothing here.
chmod 644 ./*
