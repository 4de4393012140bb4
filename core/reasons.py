"""What each reason code says to a person. A code that is not here is shown as it is."""

REASONS = {
    # skipped: nothing was handed over
    "opted_out": "The person has asked not to be written to.",
    "unverified": "There is no record that the person agreed to be written to for this purpose.",
    "weekly_cap": "The person has had as many marketing messages this week as one may get.",
    "window_closed": "Free text may only follow within 24 hours of the person's own message.",
    "no_address": "No phone number or other address of the person is known.",
    "missing_variable": "The message needs a value that the person's record does not have, and there is no default.",
    "text_too_long": "With the person's values filled in, the message is too long for WhatsApp.",
    "cancelled": "The campaign was cancelled before this person's turn.",
    "merged": "The person turned out to be another contact of the same campaign.",
    "erased": "The person's record was erased before their turn.",
    "expired": "It could not leave before the time it was to be sent by.",
    "had_it_before": "The person had an earlier occurrence, and the schedule says: to each person once.",
    "holdout": "The person is of those who get nothing, so that the others can be compared with them.",
    # occurrences that did not begin
    "too_late": "Nobody was there to start it within the time allowed after it was due.",
    "previous_running": "The occurrence before it was still running when it was due.",
    "cancelled_in_prefect": "Somebody deleted or cancelled its run in Prefect.",
    "unscheduled": "The schedule was removed.",
    "campaign_cancelled": "The campaign was cancelled.",
    "template_not_sendable": "WhatsApp would have refused the template.",
    "audience_not_valid": "The audience names a segment or an attribute that is no longer there.",
    # queued: not yet
    "conversation_cap": "The sender has opened as many conversations today as it may.",
    "quiet_hours": "It is night where the person is; the message goes in the morning.",
    "sender_paused": "The sender is paused.",
    "sender_blocked": "WhatsApp has restricted the sender.",
    "sender_suspect": "WhatsApp takes the sender's messages, but no receipts come back; it rests until one does.",
    "no_receipts": "WhatsApp takes the sender's messages, but no receipts come back.",
    "sending_is_off": "All sending was switched off.",
    "campaign_paused": "The campaign is paused.",
    "canary_first": "A small part of the audience is written to first; the others wait for what comes of it.",
    "canary_failed": "Too many of those written to first failed, stopped us or are kept from us; the others wait.",
    "canary_passed": "All is well with those written to first; the others wait until a person has looked.",
    # unknown
    "process_died": "The process that was handing the message over died, and no proof has come either way.",
    "in_doubt": "The request may have reached WhatsApp, but no whole answer came back.",
    # failed: WhatsApp refused, so there was no effect
    "not_on_whatsapp": "The number is not on WhatsApp.",
    "user_stopped_marketing": "The person has stopped marketing messages in WhatsApp's own menu.",
    "capped_by_whatsapp": "WhatsApp itself limits how many marketing messages the person gets.",
    "same_as_sender": "The number is the sender's own.",
    "country_restricted": "WhatsApp does not deliver such messages to the person's country.",
    "account_restricted": "WhatsApp has restricted the account.",
    "token_expired": "The access token of the sender has expired.",
    "template_missing": "WhatsApp does not know the template in this language.",
    "template_paused": "WhatsApp has paused the template.",
    "template_disabled": "WhatsApp has disabled the template.",
    "template_rejected": "WhatsApp has rejected the template.",
    "template_deleted": "The template is no longer there at WhatsApp.",
    "template_archived": "The template is archived at WhatsApp.",
    "template_mismatch": "The values sent do not fit the template.",
    "media_unusable": "WhatsApp cannot use the file.",
    "media_lost": "The file is no longer here.",
    "media_gone": "WhatsApp no longer has the file.",
    "media_damaged": "What came from WhatsApp was not the whole file.",
    "media_too_large": "The file is larger than WhatsApp says its files are.",
    "media_renewed": "WhatsApp had forgotten the file; it is uploaded again.",
    "experiment": "WhatsApp has the number in an experiment and delivers no marketing to it.",
}


def explained(reason: str) -> str:
    """`missing_variable:city` is explained as `missing_variable`."""
    return REASONS.get(reason, REASONS.get(reason.partition(":")[0], reason))
