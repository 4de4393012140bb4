"""What the same PostgreSQL takes from simpler programs, beside bench/imports.py.

`by row`: one prepared upsert for each row, 10,000 rows a transaction, as listmonk's importer does it (there in Go).
`by copy`: COPY into a temporary table, then upserts from there: the quickest plain way in. Both keep a name, attributes
and a list, and look at a number's form only: no country, no consent, no report per row, no going on after a death.
"""

import asyncio
import csv
import json
import re
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg

from bench import child

_BATCH = 10_000
_NUMBER = re.compile(r"\+[0-9]{8,15}")
_TABLES = """
    CREATE TABLE people (
        id bigserial PRIMARY KEY, uid uuid NOT NULL UNIQUE, phone text NOT NULL UNIQUE, name text NOT NULL,
        attributes jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE members (
        person_id bigint REFERENCES people ON DELETE CASCADE, list_id int,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (person_id, list_id));
    CREATE TEMP TABLE arriving (uid uuid, phone text, name text, attributes jsonb);
"""
_UPSERT = """
    WITH person AS (
        INSERT INTO people (uid, phone, name, attributes) {source}
        ON CONFLICT (phone) DO UPDATE SET name = excluded.name, attributes = excluded.attributes, updated_at = now()
        RETURNING id
    )
    INSERT INTO members (person_id, list_id) SELECT person.id, list FROM person, unnest(ARRAY[1, 2]) AS list
    ON CONFLICT (person_id, list_id) DO UPDATE SET updated_at = now()
"""
Row = tuple[uuid.UUID, str, str, str]


def _rows(path: str) -> Iterator[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if _NUMBER.fullmatch(row["phone"]):
                yield uuid.uuid4(), row["phone"], row["name"], json.dumps({"city": row["city"]})


def _batches(path: str) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in _rows(path):
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


async def take(url: str, path: str, way: str) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    await connection.execute(_TABLES)
    one = await connection.prepare(_UPSERT.format(source="VALUES ($1, $2, $3, $4)"))
    many = _UPSERT.format(source="SELECT uid, phone, name, attributes FROM arriving")
    taken = 0
    with child.watched() as used:
        for batch in _batches(path):
            async with connection.transaction():
                if way == "by row":
                    for row in batch:
                        await one.fetch(*row)
                else:
                    await connection.copy_records_to_table("arriving", records=batch)
                    await connection.execute(many)
                    await connection.execute("TRUNCATE arriving")
            taken += len(batch)
    await connection.close()
    return used.facts() | {"created": taken}


if __name__ == "__main__":
    _, _, url, path, way = sys.argv
    print(json.dumps(asyncio.run(take(url, path, way))))
