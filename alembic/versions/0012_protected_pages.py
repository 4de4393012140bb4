"""pages protected with a one-time code, and keys of services

Revision: 0012
Before: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
OF_A_SERVICE = sa.text("kind = 'service' AND revoked_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "protected_pages",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("open_s", sa.Integer(), nullable=False),
        sa.Column("protected_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_protected_pages")),
    )
    op.create_table(
        "page_codes",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("page", sa.String(40), nullable=False),
        sa.Column("user_id", BIG_ID),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
        sa.ForeignKeyConstraint(
            ["page"], ["protected_pages.name"], name=op.f("fk_page_codes_page"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_page_codes_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_page_codes")),
    )
    for column in ("page", "user_id", "code_hash", "expires_at"):
        op.create_index(op.f(f"ix_page_codes_{column}"), "page_codes", [column])
    op.create_table(
        "page_openings",
        sa.Column("sign_in_id", BIG_ID, nullable=False),
        sa.Column("page", sa.String(40), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["sign_in_id"], ["sign_ins.id"], name=op.f("fk_page_openings_sign_in_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["page"], ["protected_pages.name"], name=op.f("fk_page_openings_page"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sign_in_id", "page", name=op.f("pk_page_openings")),
    )
    for column in ("page", "until"):
        op.create_index(op.f(f"ix_page_openings_{column}"), "page_openings", [column])
    op.add_column("api_keys", sa.Column("kind", sa.String(8), nullable=False, server_default="program"))
    op.create_index(
        "uq_api_keys_service", "api_keys", ["name"], unique=True, postgresql_where=OF_A_SERVICE, sqlite_where=OF_A_SERVICE
    )


def downgrade() -> None:
    op.drop_index("uq_api_keys_service", table_name="api_keys")
    op.drop_column("api_keys", "kind")
    for table in ("page_openings", "page_codes", "protected_pages"):
        op.drop_table(table)
