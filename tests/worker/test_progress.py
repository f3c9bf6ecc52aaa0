import redis

from worker.progress import SAVE_SECONDS, JobProgress


class FakeJob:
    def __init__(self, *, broken=False):
        self.meta = {}
        self.saved = []
        self.broken = broken

    def save_meta(self):
        if self.broken:
            raise redis.ConnectionError
        self.saved.append(dict(self.meta))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_what_a_stage_tells_is_saved_a_few_times_a_second_at_most():
    job, clock = FakeJob(), Clock()
    report = JobProgress(job, clock=clock)
    for step in range(100):
        clock.now = step * SAVE_SECONDS / 10
        report("detector", step / 200, f"step {step}")
    assert 9 <= len(job.saved) <= 11


def test_a_new_stage_and_the_end_are_saved_at_once():
    job = FakeJob()
    report = JobProgress(job, clock=Clock())
    report("dataset", 0.0, "")
    report("detector", 0.123456, "epoch 1")
    report("detector", 0.2, "not saved: too soon")
    report("detector", 1.0, "done")
    assert [(each["stage"], each["progress"]) for each in job.saved] == [
        ("dataset", 0.0),
        ("detector", 0.1235),
        ("detector", 1.0),
    ]
    assert job.saved[-1]["message"] == "done"


def test_a_broker_that_is_away_does_not_stop_the_work():
    report = JobProgress(FakeJob(broken=True))
    report("detector", 0.5, "")
    report.fail("too few patients")


def test_outside_a_job_nobody_is_told():
    JobProgress(None)("detector", 0.5, "")
