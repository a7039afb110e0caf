"""The classes of faults, and the tests that inject them: `python tests/faults/classes.py` prints the latter."""

CLASSES = {
    "kill and resume": (
        "tests/faults/test_fault_stages.py::test_ended_at_any_moment_it_goes_on_to_the_same_bytes",
        "tests/training/test_training_run.py::test_killed_runs_resume_to_the_same_bits",
        "tests/foundation/test_pretrain_sam.py::test_killed_and_resumed_equals_uninterrupted",
        "tests/foundation/test_pretrain_audio.py::test_killed_and_resumed_equals_uninterrupted",
        "tests/foundation/test_pretrain_pyramid.py::test_killed_and_resumed_equals_uninterrupted",
        "tests/data/test_youtube.py::test_a_killed_job_goes_on",
    ),
    "kill around a rename": ("tests/faults/test_kills.py", "tests/test_records.py"),
    "disk full, in every writer": (
        "tests/faults/test_disk.py",
        "tests/data/test_fetch.py::test_a_full_disk_is_no_fault_of_the_network",
    ),
    "flipped byte or cut, in every kind of file": ("tests/faults/test_damage.py",),
    "two processes at once": (
        "tests/faults/test_fault_stages.py::test_two_at_once_end_well",
        "tests/data/test_fetch.py::test_two_fetches_of_one_file_do_not_disturb_each_other",
    ),
    "killed manager, stale locks": (
        "tests/test_turns.py",
        "tests/data/test_fetch.py::test_a_lock_that_a_killed_fetch_left_stands_in_nobodys_way",
    ),
    "the lying server": ("tests/data/test_fetch.py",),
    "changed inputs under a cache": (
        "tests/features/test_extract.py::test_a_picture_that_changed_since_the_plan_is_named",
        "tests/features/test_extract.py::test_a_sound_that_changed_is_named",
        "tests/features/test_pixels.py::test_a_changed_picture_is_refused",
        "tests/features/test_plan.py::test_a_file_that_changed_between_two_tables_is_named",
    ),
    "NaN and infinity": (
        "tests/test_finite.py",
        "tests/training/test_training_run.py::test_loss_that_is_not_finite_stops_with_step_and_clips",
        "tests/training/test_training_run.py::test_a_start_that_answers_nan_stops_the_few_shot_run",
        "tests/training/test_training_run.py::test_cached_sounds_that_are_not_finite_are_named",
    ),
    "hostile archives": ("tests/data/test_archives.py",),
    "mistakes in settings": ("tests/test_settings_mistakes.py",),
    "order, batches, workers, processes": (
        "tests/evaluation/test_groups.py::test_answers_do_not_depend_on_order_or_splitting",
        "tests/training/test_team.py::test_two_processes_train_as_one",
        "tests/data/world/test_datasets.py::test_regeneration_is_byte_identical_whatever_the_workers",
    ),
    "planted leaks": ("tests/data/test_leaks.py",),
}


def of(test: str) -> str:
    """The class that a test belongs to, by its node id; '' for none. The most exact name counts."""
    found = [(len(name), fault) for fault, names in CLASSES.items() for name in names if _is(test, name)]
    return max(found, default=(0, ""))[1]


def _is(test: str, name: str) -> bool:
    return test == name or test.startswith((f"{name}::", f"{name}["))


def table(trials: dict[str, tuple[int, int]]) -> list[str]:
    """Lines of a table: fault, tests, held. trials: class -> (tests, of which passed)."""
    rows = [("fault", "tests", "held")]
    rows += [(fault, *map(str, trials[fault])) for fault in CLASSES if fault in trials]
    width = max(len(row[0]) for row in rows)
    return [f"{fault:<{width}}  {tests:>5}  {held:>5}" for fault, tests, held in rows]


if __name__ == "__main__":
    print(*dict.fromkeys(name for names in CLASSES.values() for name in names))
