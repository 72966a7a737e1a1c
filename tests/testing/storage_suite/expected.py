"""Which cases each of the broken storages fails."""

from __future__ import annotations

from typing import Final

_FOLDED: Final = ("case", "case beyond ASCII", "compatible letter")

CLAIMS: Final = {
    "test_exclusive[an hour]",
    "test_exclusive[no time]",
    "test_exclusive_at_first",
    "test_exclusive_when_it_ran_out",
    "test_holds_alone",
    "test_winner_is_told",
}
OWNERS: Final = {"test_owner_is_exact[capitals]", "test_owner_is_exact[space behind]"}
ADDED_TWICE: Final = {"test_add_has_one_winner", "test_add_beside_a_put"}
ADDED_OVER: Final = {
    "test_add_beside_a_put",
    "test_add_has_one_winner",
    "test_add_leaves_what_is_there",
}
CLAIMED_CHANGED: Final = {
    "test_claim_of_a_changed_row",
    "test_claim_of_a_missing_row",
    "test_claim_of_a_row_beside_replacements",
}
KEPT_NAMES: Final = {"test_replace_and_release"}
FREED_UNWRITTEN: Final = {"test_replace_and_release_of_another_version"}
CLAIMED_OVER: Final = {"test_claim_of_a_row_has_one_winner", "test_claim_of_another_owner"}
CLAIMED_ONCE: Final = {"test_claim_of_an_unchanged_row"}
FREED: Final = FREED_UNWRITTEN | {"test_replace_and_release_leaves_another_owner"}
REPLACED_ANY: Final = {
    "test_replace_and_release_of_another_version",
    "test_replace_and_release_repeated",
}
RESTORED_OVER: Final = {
    "test_restore_has_one_winner",
    "test_restore_leaves_what_is_there",
    "test_restore_of_another_version",
    "test_restore_of_another_version_beside_none",
    "test_restore_over_a_record_repeated",
}
RESTORED_UNDATED: Final = {"test_restore_without_a_date"}
DATES: Final = {
    "test_restore",
    "test_restore_over_a_record",
    "test_restored_dates_decide_removals",
}
NOT_AS_STORED: Final = {
    "test_add_and_get",
    "test_add_and_get_has_one_winner",
    "test_add_and_get_leaves_what_is_there",
    "test_put_and_get",
    "test_put_and_get_over_a_record",
}
FORMER: Final = {
    "test_add",
    "test_add_repeated",
    "test_debts_of_on_install[owed]",
    *(f"test_grant_types[{kind}]" for kind in ("a newer word", "client credentials")),
    "test_grant_types[refresh token]",
    "test_later_fields_of_a_page",
    *(
        f"test_origins[{kind}]"
        for kind in (
            "2000 letters",
            "Unicode form",
            "an id",
            "beyond the BMP",
            "capitals",
            "empty",
            "half a pair",
            "quotes",
            "space behind",
            "zero character",
        )
    ),
}
REPLACED: Final = {
    "test_no_update_is_lost",
    "test_replace_has_one_winner",
    "test_replace_of_another_version",
    "test_replace_of_what_was_installed_again",
    "test_replace_repeated",
    "test_replace_twice",
    "test_versions_are_exact[Unicode form]",
    "test_versions_are_exact[beginning]",
    "test_versions_are_exact[case]",
    "test_versions_are_exact[number]",
    "test_versions_are_exact[space behind]",
    "test_versions_are_exact[wildcard]",
}
TIMES: Final = {
    "test_installed_at_is_utc",
    "test_moments_of_any_zone[east]",
    "test_moments_of_any_zone[half an hour]",
    "test_moments_of_any_zone[west]",
}
KEYS: Final = {
    *(f"test_app_ids_are_exact[{kind}]" for kind in _FOLDED),
    *(f"test_instance_ids_are_exact[{kind}]" for kind in _FOLDED),
    *(f"test_names_are_exact[{kind}]" for kind in _FOLDED),
    "test_ids_come_back",
}
KEYS_OF_CAPABILITIES: Final = {
    "test_add_beside_similar_ids[case]",
    "test_owner_of_another_name[case]",
}
ERRORS: Final = {
    *(
        f"{case}[{method}]"
        for case in ("test_unreachable", "test_unreachable_is_not_told_to_callers")
        for method in ("get", "replace", "delete", "delete before", "scan", "claim")
    ),
    "test_unreachable_to_many",
}
PURGED: Final = {
    "test_purge[1]",
    "test_purge[5]",
    "test_purge_at_once",
    "test_purge_of_many",
    "test_purge_spares_what_is_held",
    "test_purge_when_seconds_are_over",
}
