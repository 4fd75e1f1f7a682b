"""SQLAlchemy, with and without pool_pre_ping (CHECK=1)."""

import os

from sqlalchemy import create_engine, text

import work

lifetime = int(os.environ.get("LIFETIME_SECONDS") or "-1")
engine = create_engine(
    "postgresql+psycopg://",
    pool_size=work.THREADS,
    pool_recycle=lifetime,
    pool_pre_ping=os.environ.get("CHECK") == "1",
)


def transact():
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_sleep(0.005)"))


work.run(transact)
engine.dispose()
