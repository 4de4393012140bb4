"""live events: words that are good once; PostgreSQL calls when events are written

Revision: 0014
Before: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nonces",
        sa.Column("word", sa.String(64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_nonces")),
    )
    op.create_index(op.f("ix_nonces_until"), "nonces", ["until"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION waqtor_call_followers() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_notify('waqtor_events', ''); RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER events_call AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION waqtor_call_followers()"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER events_call ON events")
        op.execute("DROP FUNCTION waqtor_call_followers()")
    op.drop_index(op.f("ix_nonces_until"), table_name="nonces")
    op.drop_table("nonces")
