"""schedules, and each time that a campaign was sent as a row of its own

Revision: 0006
Before: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("campaign_id", BIG_ID, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("include_earlier", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_schedules_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_schedules")),
    )
    op.create_table(
        "occurrences",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("campaign_id", BIG_ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.String(80), nullable=False),
        sa.Column("planned_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("include_earlier", sa.Boolean(), nullable=False),
        sa.Column("audience", JSON),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("job_id", sa.String(64)),
        sa.Column("job_due_at", TIME),
        sa.Column("job_turn", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_occurrences_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_occurrences")),
        sa.UniqueConstraint("campaign_id", "number", name=op.f("uq_occurrences_campaign_id_number")),
    )
    op.create_index("ix_occurrences_state_due_at", "occurrences", ["state", "due_at"])
    op.create_index(
        "ix_occurrences_with_a_job",
        "occurrences",
        ["id"],
        postgresql_where=sa.text("job_id IS NOT NULL"),
        sqlite_where=sa.text("job_id IS NOT NULL"),
    )
    op.add_column("installation", sa.Column("jobs_mark", sa.String(120)))
    # What was launched before is an occurrence too. Its number is the one its recipients have.
    op.execute(
        """
        INSERT INTO occurrences (campaign_id, number, state, reason, planned_at, due_at, include_earlier, audience,
            started_at, finished_at, job_turn)
        SELECT id, occurrence, CASE WHEN state IN ('running', 'paused') THEN 'running' ELSE state END, '', launched_at,
            launched_at, true, audience, launched_at, finished_at, 0
        FROM campaigns WHERE launched_at IS NOT NULL
        """
    )


def downgrade() -> None:
    op.drop_column("installation", "jobs_mark")
    op.drop_index("ix_occurrences_with_a_job", table_name="occurrences")
    op.drop_index("ix_occurrences_state_due_at", table_name="occurrences")
    op.drop_table("occurrences")
    op.drop_table("schedules")
