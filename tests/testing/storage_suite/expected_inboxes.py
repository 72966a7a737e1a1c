"""Which cases each of the broken inboxes fails, without the values of the cases."""

from __future__ import annotations

from typing import Final

ALIASES: Final = {
    "test_aliases_are_exact",
    "test_aliases_of_apps_are_apart",
    "test_copy_under_an_alias_changes_nothing",
    "test_copy_with_another_alias",
    "test_crossing_keys",
    "test_done_loses_its_payload",
    "test_drop",
    "test_empty_alias_is_an_alias",
    "test_event_is_kept",
    "test_known_by_its_alias",
    "test_one_of_fifty_is_kept_under_an_alias",
    "test_one_of_fifty_is_kept_under_either_key",
    "test_retry_of_a_dead_letter",
    "test_taken_event",
}
DELETED: Final = {
    "test_age_of_the_oldest",
    "test_call_for_an_ended_event",
    "test_done_keeps_its_failure",
    "test_done_loses_its_payload",
    "test_drop_at_once",
    "test_ended_events_are_apart",
    "test_ended_once",
    "test_events_in_a_state",
    "test_finish_repeated",
    "test_kept_for_its_seconds",
    "test_known_by_its_alias",
    "test_known_by_its_id",
    "test_listed_events_are_whole",
    "test_pages_of_a_state",
    "test_reseal_of_a_done_event",
    "test_retry_of_a_done_event",
}
KEPT_TWICE: Final = {
    "test_crossing_keys",
    "test_one_of_fifty_is_kept",
    "test_one_of_fifty_is_kept_under_an_alias",
    "test_one_of_fifty_is_kept_under_either_key",
}
FOLDED: Final = {"test_aliases_are_exact", "test_event_ids_are_exact"}
GIVEN_TWICE: Final = {
    "test_lapsed_lease_has_one_taker",
    "test_longest_due_first_by_one",
    "test_postponed_comes_after_the_due",
    "test_take_beside_adding",
    "test_take_repeated_beyond_the_limit",
    "test_takers_at_once",
}
TOO_EARLY: Final = {
    "test_call_after_the_lease",
    "test_event_due_later",
    "test_longest_due_first",
    "test_longest_due_first_by_one",
    "test_postpone",
    "test_postponed_again",
    "test_retry_of_an_unknown_event",
}
OTHER_APPS: Final = {"test_events_of_apps_are_apart", "test_take_of_another_app"}
NEWEST: Final = {
    "test_leases_are_apart",
    "test_longest_due_first",
    "test_longest_due_first_by_one",
    "test_postponed_comes_after_the_due",
    "test_take_repeated_beyond_the_limit",
}
REPETITIONS: Final = {"test_take_repeated", "test_take_repeated_beyond_the_limit"}
OWNERS: Final = {
    "test_call_after_another_owner",
    "test_call_of_another_owner",
    "test_take_of_one_owner",
}
LAPSED: Final = {
    "test_call_after_the_lease",
    "test_ended_events_are_not_taken",
    "test_known_without_seconds",
}
OUTCOMES: Final = {"test_outcomes_are_exact", "test_renew_notes_outcomes"}
DEAD_PAYLOADS: Final = {
    "test_dead_keeps_its_payload",
    "test_ended_events_are_apart",
    "test_reseal_changes_nothing_else",
    "test_retry_of_a_dead_letter",
}
DONE_PAYLOADS: Final = {
    "test_done_loses_its_payload",
    "test_ended_events_are_apart",
    "test_reseal_of_a_done_event",
}
SHUTDOWNS: Final = {
    "test_postpone_has_one_winner",
    "test_postpone_uncounted",
    "test_postponed_again",
}
POSTPONED: Final = {
    "test_done_keeps_its_failure",
    "test_postpone",
    "test_postpone_has_one_winner",
    "test_postponed_again",
    "test_postponed_is_nobodys",
    "test_retry_of_a_waiting_event",
    "test_retry_of_other_outcomes",
}
RETRIED: Final = {"test_retry_of_a_taken_event"}
RETRIED_BLINDLY: Final = {"test_retry_of_other_outcomes"}
RESEALED: Final = {
    "test_reseal",
    "test_reseal_beside_another",
    "test_reseal_of_another_payload",
}
PAGES: Final = {"test_pages_of_a_state"}
AGES: Final = {"test_age_of_the_oldest_beyond_the_limit"}
PURGED_WAITING: Final = {
    "test_cancelled_with_events[purge_events]",
    "test_purge_of_events_spares_what_is_kept",
    "test_purge_of_many_events",
    "test_purge_of_retried_events",
    "test_purged_keys_are_forgotten",
}
PURGED_WITHOUT_KEYS: Final = {"test_purged_keys_are_forgotten"}
