"""psycopg_pool, with and without its check of each connection that it hands out (CHECK=1)."""

import os

from psycopg_pool import ConnectionPool

import work

lifetime = os.environ.get("LIFETIME_SECONDS") or "86400"
check = ConnectionPool.check_connection if os.environ.get("CHECK") == "1" else None
with ConnectionPool("", min_size=work.THREADS, max_size=work.THREADS, max_lifetime=float(lifetime), check=check) as pool:

    def transact():
        with pool.connection() as connection:
            connection.execute("SELECT pg_sleep(0.005)")

    work.run(transact)
