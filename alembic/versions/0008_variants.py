"""variants of a campaign's message, and people who are held out of it

Revision: 0008
Before: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "campaign_variants",
        sa.Column("campaign_id", BIG_ID, nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("template_id", BIG_ID),
        sa.Column("defaults", JSON, nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_variants_campaign_id")),
        sa.ForeignKeyConstraint(["template_id"], ["templates.id"], name=op.f("fk_campaign_variants_template_id")),
        sa.PrimaryKeyConstraint("campaign_id", "number", name=op.f("pk_campaign_variants")),
    )
    op.add_column("campaigns", sa.Column("holdout_percent", sa.Float()))
    op.add_column("campaigns", sa.Column("winner", sa.SmallInteger()))
    op.add_column("recipients", sa.Column("variant", sa.SmallInteger()))


def downgrade() -> None:
    op.drop_column("recipients", "variant")
    op.drop_column("campaigns", "winner")
    op.drop_column("campaigns", "holdout_percent")
    op.drop_table("campaign_variants")
