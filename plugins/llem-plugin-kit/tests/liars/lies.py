"""The lie of each plugin of this folder: the test of the conformance suite that must fail on it; None is the honest one."""

from __future__ import annotations

import colorsys  # noqa: F401 - what one of the backends needs, and must not bring along

from pydantic import ConfigDict, Field

from llem.config.section import Section

BACKENDS: dict[str, str | None] = {
    "HonestBackend": None,
    "CountsPadding": "input_is_counted_without_padding",
    "StopsShort": "a_fixed_length_is_exact",
    "InventsTimes": "times_are_observed_and_not_worked_out",
    "TellsOneInstant": "times_are_observed_and_not_worked_out",
    "TakesNoTime": "times_are_observed_and_not_worked_out",
    "CountsNothing": "what_it_counts_is_a_finite_number",
    "RepeatsItself": "a_caveat_is_a_word_and_a_paragraph_and_told_once",
    "CutsChats": "a_chat_is_sent_whole_or_refused",
    "TellsTheWallClock": "times_are_in_order_and_within_the_call",
    "MissesTimes": "ids_and_times_match_the_counts",
    "InventsTokens": "token_ids_are_of_the_vocabulary",
    "SaysZeroForUnknown": "memory_that_is_not_known_is_null",
    "LosesRequests": "batches_hold_each_request_once",
    "IgnoresTheLimit": "a_prompt_is_cut_to_its_limit",
    "StreamsEverythingAtOnce": "streaming_gives_each_token_and_then_the_record",
    "LoadsAnything": "a_model_that_is_not_there_is_told_and_leaves_nothing",
    "LeavesAProcess": "a_model_that_is_not_there_is_told_and_leaves_nothing",
    "NamesNoDevice": "it_says_what_it_loaded",
    "TakesAnything": "an_unknown_option_is_refused",
    "ImportsWhatItNeeds": "registering_imports_no_engine",
    "ResolvesTwice": "resolving_twice_changes_nothing_more",
    "FitsTwice": "fitting_twice_changes_nothing_more",
}

METERS: dict[str, str | None] = {
    "HonestMeter": None,
    "TellsMillijoules": "counter_and_power_are_of_one_unit",
    "TellsTheWallClock": "times_are_of_the_monotonic_clock_and_of_the_call",
    "Wraps": "times_move_on_and_energy_never_goes_back",
    "SaysZero": "what_is_not_known_is_null_and_not_zero",
    "HasNoCounter": "what_is_promised_is_read_and_nothing_else",
    "HasMoreThanItSays": "what_is_promised_is_read_and_nothing_else",
    "EstimatesAndMeasures": "an_estimate_is_nothing_else",
    "OfAnotherScope": "devices_are_named_once_and_keep_within_the_spec",
    "NamesItAnewEachTime": "ids_are_the_same_in_another_process",
    "HasNoUnits": "other_quantities_carry_their_unit",
    "KeepsAFile": "closing_leaves_nothing_and_may_come_twice",
    "KeepsAProcess": "closing_leaves_nothing_and_may_come_twice",
    "TwiceInOneReading": "one_reading_has_each_device_once",
    "IsNotThere": "devices_are_named_once_and_keep_within_the_spec",
}

CHECKS: dict[str, str | None] = {
    "honest": None,
    "blind": "it_finds_the_trouble",
    "helpless": "what_it_finds_says_what_to_do",
    "meddling": "it_changes_nothing",
    "moody": "asked_again_it_finds_the_same",
    "littering": "it_leaves_nothing_running",
    "chatty": "what_it_finds_says_what_to_do",
    "not_a_finding": "it_finds_the_trouble",
    "lost_at_doctor": "it_answers_llem_doctor_too",
}

RUNNERS: dict[str, str | None] = {
    "Honest": None,
    "Forgetful": "stopping_ends_everything_that_a_job_started",
    "Optimist": "a_failed_experiment_is_no_success",
    "Spinning": "polling_returns_at_once_and_waiting_does_not_spin",
    "Deaf": "a_jobs_variables_reach_its_engine",
    "Impatient": "polling_returns_at_once_and_waiting_does_not_spin",
    "Amnesic": "an_ending_is_told_again",
    "Quitter": "it_can_be_stopped_again_while_others_wait",
    "Astray": "a_job_comes_back_with_its_result",
    "Closed": "its_capacity_is_one_or_more",
    "Complaining": "preflight_has_no_error_where_jobs_run",
}


class LiarConfig(Section):
    """Options."""

    seed: int = Field(0, description="of nothing")


class LaxConfig(LiarConfig):
    """Options of whoever takes everything."""

    model_config = ConfigDict(extra="allow")


def resolve_again(section: Section) -> Section:
    return section.model_copy(update={"seed": getattr(section, "seed", 0) + 1})


def fit_again(section: Section, together: int) -> Section:
    return section.model_copy(update={"seed": getattr(section, "seed", 0) + together})
