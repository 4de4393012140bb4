"""files that go with messages, and where they are at WhatsApp; chats in order, and what was read of them

Revision: 0011
Before: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
WAITING = sa.text("state = 'waiting'")
WITH_MEDIA = sa.text("state = 'queued' AND recipient_id IS NULL AND media_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("direction", sa.String(3), nullable=False),
        sa.Column("sender_id", BIG_ID),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("mime_type", sa.String(120), nullable=False),
        sa.Column("filename", sa.String(240)),
        sa.Column("sha256", sa.String(64)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("handle", sa.String(200)),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(80)),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("not_before", TIME),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["sender_id"], ["senders.id"], name=op.f("fk_media_sender_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
    )
    op.create_index("ix_media_sha256", "media", ["sha256"])
    op.create_index("ix_media_waiting", "media", ["not_before"], postgresql_where=WAITING, sqlite_where=WAITING)
    op.create_table(
        "media_uploads",
        sa.Column("media_id", BIG_ID, nullable=False),
        sa.Column("sender_id", BIG_ID, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("handle", sa.String(200)),
        sa.Column("uploaded_at", TIME),
        sa.Column("reason", sa.String(80)),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("not_before", TIME, nullable=False),
        sa.Column("lease_token", sa.String(32)),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media.id"], name=op.f("fk_media_uploads_media_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["sender_id"], ["senders.id"], name=op.f("fk_media_uploads_sender_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("media_id", "sender_id", name=op.f("pk_media_uploads")),
    )
    op.create_index(
        "ix_media_uploads_waiting", "media_uploads", ["not_before"], postgresql_where=WAITING, sqlite_where=WAITING
    )
    op.add_column("messages", sa.Column("media_id", sa.BigInteger()))
    op.create_index(
        "ix_messages_with_media",
        "messages",
        ["contact_id", "sender_id", "id"],
        postgresql_where=WITH_MEDIA,
        sqlite_where=WITH_MEDIA,
    )
    op.add_column("chats", sa.Column("last_at", TIME))
    op.add_column("chats", sa.Column("read_id", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        """
        UPDATE chats SET last_at = CASE WHEN last_in_at IS NULL OR last_out_at > last_in_at THEN last_out_at
            ELSE last_in_at END, read_id = (SELECT COALESCE(MAX(id), 0) FROM messages)
        """
    )
    op.create_index("ix_chats_last_at", "chats", ["last_at", "sender_id", "contact_id"])
    _rename_handles()


def _rename_handles() -> None:
    """`media_id` was WhatsApp's own id and is ours now. In a template it is gone within 30 days anyway: such a header
    is taken away, and has to be given anew."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """
            UPDATE messages SET content = content - 'media_id' || jsonb_build_object('handle', content -> 'media_id')
            WHERE jsonb_typeof(content -> 'media_id') = 'string'
            """
        )
        is_old = "jsonb_typeof(header -> 'media_id') = 'string'"
    else:
        op.execute(
            """
            UPDATE messages SET content = json_set(
                json_remove(content, '$.media_id'), '$.handle', json_extract(content, '$.media_id')
            ) WHERE json_type(content, '$.media_id') = 'text'
            """
        )
        is_old = "json_type(header, '$.media_id') = 'text'"
    for table in ("templates", "template_variants"):
        op.execute(f"UPDATE {table} SET header = NULL WHERE {is_old}")


def downgrade() -> None:
    op.drop_index("ix_chats_last_at", table_name="chats")
    op.drop_column("chats", "read_id")
    op.drop_column("chats", "last_at")
    op.drop_index("ix_messages_with_media", table_name="messages")
    op.drop_column("messages", "media_id")
    op.drop_index("ix_media_uploads_waiting", table_name="media_uploads")
    op.drop_table("media_uploads")
    op.drop_index("ix_media_waiting", table_name="media")
    op.drop_index("ix_media_sha256", table_name="media")
    op.drop_table("media")
