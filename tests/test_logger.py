import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_soundprompt as plugin


@pytest.fixture
def told(monkeypatch, capsys):
    """Tells the handler of an event at a second; returns what it writes."""
    handler = plugin.LogHandler.__new__(plugin.LogHandler)
    handler.__post_init__()

    def tell(second: float, event: LogEvent, **facts) -> str:
        monkeypatch.setattr(plugin.time, "monotonic", lambda: second)
        record = logging.makeLogRecord({"event": event, "levelno": logging.INFO, "msg": "", **facts})
        handler.emit(record)
        return capsys.readouterr().err

    return tell


def test_what_is_left_follows_from_the_jobs_that_ended_and_how_many_run_at_once(told):
    def start(second: float, number: int, rule: str):
        return told(second, LogEvent.JOB_INFO, jobid=number, rule_name=rule, rule_msg=f"{rule} {number}", wildcards={})

    assert "5 jobs: 4 train, 1 report" in told(0, LogEvent.RUN_INFO, stats={"train": 4, "report": 1, "total": 5})
    assert "start  train 1" in start(0, 1, "train")
    start(0, 2, "train")
    said = told(240, LogEvent.JOB_FINISHED, job_id=1)  # six and a half times as long as foreseen
    # three more of 240 s and a report of 97 s, less the 240 s that the second has run, two at once
    assert "done   train 1 in 4 min 00 s (1/5 jobs, about 4 min 49 s left)" in said


def test_the_last_job_leaves_nothing(told):
    told(0, LogEvent.RUN_INFO, stats={"report": 1, "total": 1})
    told(0, LogEvent.JOB_INFO, jobid=1, rule_name="report", rule_msg="write it", wildcards={})
    assert "(1/1 jobs)" in told(9, LogEvent.JOB_FINISHED, job_id=1)
