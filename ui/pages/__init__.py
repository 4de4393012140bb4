"""All pages, in the order in which they are listed. A new one is added here."""

from collections.abc import Sequence

from ui.page import Page
from ui.pages import (
    about,
    account,
    audit,
    campaign,
    campaign_new,
    campaigns,
    contacts,
    importing,
    messages,
    monitoring,
    notifications,
    overview,
    reports,
    segments,
    senders,
    settings,
    templates,
    users,
    webhooks,
)

PAGES: Sequence[Page] = (
    overview.PAGE,
    contacts.PAGE,
    segments.PAGE,
    importing.PAGE,
    campaigns.PAGE,
    campaign_new.PAGE,
    campaign.PAGE,
    templates.PAGE,
    messages.PAGE,
    reports.PAGE,
    senders.PAGE,
    notifications.PAGE,
    monitoring.PAGE,
    webhooks.PAGE,
    settings.PAGE,
    users.PAGE,
    audit.PAGE,
    account.PAGE,
    about.PAGE,
)
