"""What each reason code says, in the reader's language. The API has the same words in English (core/reasons.py)."""

from collections.abc import Mapping

from ui.words import _, later

REASONS: Mapping[str, str] = {
    # skipped: nothing was handed over
    "opted_out": later("The person has asked not to be written to."),
    "unverified": later("There is no record that the person agreed to be written to for this purpose."),
    "weekly_cap": later("The person has had as many marketing messages this week as one may get."),
    "window_closed": later("Free text may only follow within 24 hours of the person's own message."),
    "no_address": later("No phone number or other address of the person is known."),
    "missing_variable": later(
        "The message needs a value that the person's record does not have, and there is no default."
    ),
    "text_too_long": later("With the person's values filled in, the message is too long for WhatsApp."),
    "cancelled": later("The campaign was cancelled before this person's turn."),
    "merged": later("The person turned out to be another contact of the same campaign."),
    "erased": later("The person's record was erased before their turn."),
    "expired": later("It could not leave before the time it was to be sent by."),
    "had_it_before": later("The person had an earlier occurrence, and the schedule says: to each person once."),
    "holdout": later("The person is of those who get nothing, so that the others can be compared with them."),
    # occurrences that did not begin
    "too_late": later("Nobody was there to start it within the time allowed after it was due."),
    "previous_running": later("The occurrence before it was still running when it was due."),
    "cancelled_in_prefect": later("Somebody deleted or cancelled its run in Prefect."),
    "unscheduled": later("The schedule was removed."),
    "campaign_cancelled": later("The campaign was cancelled."),
    "template_not_sendable": later("WhatsApp would have refused the template."),
    "audience_not_valid": later("The audience names a segment or an attribute that is no longer there."),
    # queued: not yet
    "conversation_cap": later("The sender has opened as many conversations today as it may."),
    "quiet_hours": later("It is night where the person is; the message goes in the morning."),
    "sender_paused": later("The sender is paused."),
    "sender_blocked": later("WhatsApp has restricted the sender."),
    "sender_suspect": later(
        "WhatsApp takes the sender's messages, but no receipts come back; it rests until one does."
    ),
    "no_receipts": later("WhatsApp takes the sender's messages, but no receipts come back."),
    "sending_is_off": later("All sending was switched off."),
    "campaign_paused": later("The campaign is paused."),
    "canary_first": later("A small part of the audience is written to first; the others wait for what comes of it."),
    "canary_failed": later(
        "Too many of those written to first failed, stopped us or are kept from us; the others wait."
    ),
    "canary_passed": later("All is well with those written to first; the others wait until a person has looked."),
    # unknown
    "process_died": later("The process that was handing the message over died, and no proof has come either way."),
    "in_doubt": later("The request may have reached WhatsApp, but no whole answer came back."),
    # failed: WhatsApp refused, so there was no effect
    "failed_at_whatsapp": later("WhatsApp took the message, and reported later that it could not be delivered."),
    "not_on_whatsapp": later("The number is not on WhatsApp."),
    "user_stopped_marketing": later("The person has stopped marketing messages in WhatsApp's own menu."),
    "capped_by_whatsapp": later("WhatsApp itself limits how many marketing messages the person gets."),
    "same_as_sender": later("The number is the sender's own."),
    "country_restricted": later("WhatsApp does not deliver such messages to the person's country."),
    "account_restricted": later("WhatsApp has restricted the account."),
    "token_expired": later("The access token of the sender has expired."),
    "permission": later("The access token may not write from this number."),
    "payment_missing": later("WhatsApp has no way to be paid for the account."),
    "number_not_registered": later("The number is not registered with WhatsApp."),
    "name_not_approved": later("WhatsApp has not approved the number's display name."),
    "template_missing": later("WhatsApp does not know the template in this language."),
    "template_paused": later("WhatsApp has paused the template."),
    "template_disabled": later("WhatsApp has disabled the template."),
    "template_rejected": later("WhatsApp has rejected the template."),
    "template_deleted": later("The template is no longer there at WhatsApp."),
    "template_archived": later("The template is archived at WhatsApp."),
    "template_policy": later("The template is against WhatsApp's rules."),
    "template_parameters": later("The template takes other values than were sent."),
    "template_too_long": later("With the values filled in, the template is too long."),
    "template_flow_blocked": later("WhatsApp has blocked a form that the template opens."),
    "template_mismatch": later("The values sent do not fit the template."),
    "media_unusable": later("WhatsApp cannot use the file."),
    "media_lost": later("The file is no longer here."),
    "media_gone": later("WhatsApp no longer has the file."),
    "media_damaged": later("What came from WhatsApp was not the whole file."),
    "media_too_large": later("The file is larger than WhatsApp says its files are."),
    "media_renewed": later("WhatsApp had forgotten the file; it is uploaded again."),
    "experiment": later("WhatsApp has the number in an experiment and delivers no marketing to it."),
}


def explained(reason: str) -> str:
    """`missing_variable:city` is explained as `missing_variable`; a code of a newer server is shown as it is."""
    code = reason if reason in REASONS else reason.partition(":")[0]
    return _(REASONS[code]) if code in REASONS else reason
