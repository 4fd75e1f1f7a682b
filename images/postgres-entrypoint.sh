#!/bin/sh
# Makes an empty PGDATA a running database once, then becomes PostgreSQL; arguments go to PostgreSQL (-c max_connections=100).
set -eu
umask 077
PGDATA="${PGDATA:-/var/lib/postgresql/data/pgdata}"
export PGDATA
if [ "${1:-}" = postgres ]; then shift; fi

initialise() {
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo 'POSTGRES_PASSWORD must hold the password of the superuser "postgres"' >&2
    exit 64
  fi
  # A folder made beside PGDATA and renamed at the end: a container that dies half-way leaves nothing that looks finished.
  new="$PGDATA.new"
  rm -rf "$new"
  mkdir -p "${PGDATA%/*}"
  printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
  initdb --pgdata="$new" --username=postgres --pwfile=/tmp/password --encoding=UTF8 --locale=C \
    --locale-provider=builtin --builtin-locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 --no-sync --no-instructions \
    >/tmp/initdb.log 2>&1 || { rm -f /tmp/password; cat /tmp/initdb.log >&2; exit 70; }
  rm -f /tmp/password /tmp/initdb.log
  echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"

  # Nobody but this script reaches the first start: no TCP, a socket folder of its own.
  first=/tmp/first-start
  mkdir -p "$first"
  pg_ctl --pgdata="$new" --silent --wait --log=/tmp/first-start/log \
    --options="-c listen_addresses= -c unix_socket_directories=$first -c fsync=off" start || { cat "$first/log" >&2; exit 70; }
  sql() { psql --no-psqlrc --quiet --host="$first" --username=postgres --dbname="${POSTGRES_DB:-postgres}" --set=ON_ERROR_STOP=1 "$@"; }
  if [ -n "${POSTGRES_DB:-}" ] && [ "$POSTGRES_DB" != postgres ]; then
    createdb --host="$first" --username=postgres "$POSTGRES_DB"
  fi
  for file in /initdb.d/*.sql; do
    if [ -f "$file" ]; then
      echo "running $file"
      sql --file="$file"
    fi
  done
  pg_ctl --pgdata="$new" --silent --wait --mode=fast stop
  rm -rf "$first"
  if [ -d "$PGDATA" ] && ! rmdir "$PGDATA"; then
    echo "PGDATA ($PGDATA) must be a folder inside the volume, not the volume itself" >&2
    exit 64
  fi
  mv "$new" "$PGDATA"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # As process 1 a shell without a trap ignores SIGTERM.
  trap 'exit 143' TERM INT
  initialise
  trap - TERM INT
fi

if [ -f /tls/tls.crt ] && [ -f /tls/tls.key ]; then
  # PostgreSQL refuses a key that others can read, which is how volumes present them.
  mkdir -p "$PGDATA/tls"
  cat /tls/tls.crt >"$PGDATA/tls/tls.crt"
  cat /tls/tls.key >"$PGDATA/tls/tls.key"
  set -- -c ssl=on -c "ssl_cert_file=$PGDATA/tls/tls.crt" -c "ssl_key_file=$PGDATA/tls/tls.key" "$@"
  if [ -f /tls/ca.crt ]; then
    cat /tls/ca.crt >"$PGDATA/tls/ca.crt"
    set -- -c "ssl_ca_file=$PGDATA/tls/ca.crt" "$@"
  fi
fi

exec postgres -D "$PGDATA" -c 'listen_addresses=*' -c unix_socket_directories=/tmp "$@"
