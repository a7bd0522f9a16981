#!/usr/bin/env python3
"""Tests of the judge itself: `python tests/incidents/test_judge.py`."""

import unittest

import judge

TRUTH = {
    "scenario": "google-throttle", "rule": "throttling",
    "scope": {"provider": "Google", "source_ip": "192.0.2.13"},
    "acceptable_scopes": [{"provider": "Google", "source_ip": "192.0.2.13"}, {"provider": "Google", "vmta": "mta03"}],
    "implied": {"provider": ["Google"], "source_ip": ["192.0.2.13"], "vmta": ["mta03"], "pool": ["pool-bulk"]},
    "touches": {"provider": ["Google"], "source_ip": ["192.0.2.13"], "user": ["bluepine", "cityfit"]},
    "cause": {"reply_class": "throttle-reputation", "status": "4.7.28"},
    "from": "2026-11-23T13:05:00Z", "to": "2026-11-23T15:05:00Z", "affected_rows": 200,
}
SINCE = judge.moment("2026-11-16T00:00:00Z")


def incident(**changes):
    one = {
        "rule": "provider-throttling", "scope": {"provider": "Google", "source_ip": "192.0.2.13"},
        "opened_at": "2026-11-23T13:10:00Z", "closed_at": "2026-11-23T15:10:00Z",
        "causes": [{"reply_class": "throttle-reputation"}],
    }
    one.update(changes)
    return one


class Judging(unittest.TestCase):
    def one(self, *incidents):
        verdicts, false, consequences = judge.judge([TRUTH], list(incidents), SINCE)
        return verdicts[0], len(false), consequences

    def test_all_right(self):
        verdict, false, consequences = self.one(incident())
        self.assertTrue(judge.solved(verdict))
        self.assertEqual((false, consequences), (0, 0))

    def test_nothing_found(self):
        self.assertFalse(self.one()[0]["found"])

    def test_the_vmta_names_the_address_and_the_pool_goes_without_saying(self):
        self.assertTrue(self.one(incident(scope={"provider": "google", "vmta": "mta03", "pool": "pool-bulk"}))[0]["found"])

    def test_wider_and_narrower_scopes_are_not_right(self):
        for scope in ({"provider": "Google"}, {"source_ip": "192.0.2.13"}, {},
                      {"provider": "Google", "source_ip": "192.0.2.13", "user": "bluepine"},
                      {"provider": "Google", "source_ip": "192.0.2.12"}):
            verdict, false, consequences = self.one(incident(scope=scope))
            self.assertFalse(verdict["found"], scope)
            wrong = scope.get("source_ip") == "192.0.2.12"
            self.assertEqual((false, consequences), (1, 0) if wrong else (0, 1), scope)

    def test_another_rule_is_a_consequence(self):
        verdict, false, consequences = self.one(incident(rule="latency-anomaly", scope={"provider": "Google"}))
        self.assertEqual((verdict["found"], false, consequences), (False, 0, 1))

    def test_times_out_of_tolerance(self):
        verdict, _, _ = self.one(incident(opened_at="2026-11-23T13:21:00Z", closed_at="2026-11-23T15:19:00Z"))
        self.assertEqual((verdict["start"], verdict["end"]), (False, True))
        self.assertFalse(self.one(incident(closed_at=None))[0]["end"])

    def test_onset_goes_before_the_time_of_opening(self):
        verdict, _, _ = self.one(incident(opened_at="2026-11-23T14:00:00Z", started_at="2026-11-23T13:05:00Z"))
        self.assertTrue(verdict["start"])

    def test_the_first_cause_counts(self):
        causes = [{"reply_class": "greylist"}, {"reply_class": "throttle-reputation"}]
        self.assertFalse(self.one(incident(causes=causes))[0]["cause"])
        self.assertFalse(self.one(incident(causes=[]))[0]["cause"])

    def test_other_times_and_other_scopes_are_false(self):
        yesterday = incident(opened_at="2026-11-22T10:00:00Z", closed_at="2026-11-22T11:00:00Z")
        elsewhere = incident(scope={"provider": "Yahoo"})
        verdict, false, _ = self.one(incident(), yesterday, elsewhere)
        self.assertTrue(judge.solved(verdict))
        self.assertEqual(false, 2)

    def test_what_ended_before_the_window_is_not_looked_at(self):
        old = incident(opened_at="2026-11-02T10:00:00Z", closed_at="2026-11-02T11:00:00Z")
        self.assertEqual(self.one(incident(), old)[1], 0)

    def test_two_pieces_count_from_first_to_last(self):
        first = incident(closed_at="2026-11-23T13:40:00Z")
        second = incident(opened_at="2026-11-23T14:10:00Z")
        verdict, false, _ = self.one(first, second)
        self.assertTrue(judge.solved(verdict))
        self.assertEqual((len(verdict["fitting"]), false), (2, 0))

    def test_a_global_drop_has_no_scope(self):
        truth = {**TRUTH, "rule": "volume", "scope": {}, "acceptable_scopes": [{}], "implied": {}, "touches": {}, "cause": None}
        right = incident(rule="volume-drop", scope={})
        user = incident(rule="volume-drop", scope={"user": "bluepine"})
        verdicts, false, consequences = judge.judge([truth], [right, user], SINCE)
        self.assertTrue(judge.solved(verdicts[0]))
        self.assertEqual((len(false), consequences), (0, 1))

    def test_the_bar(self):
        good = {"scenario": "x", "verdicts": [self.one(incident())[0]], "false": []}
        bad = {"scenario": "x", "verdicts": [self.one()[0]], "false": []}
        quiet = {"scenario": "none", "verdicts": [], "false": []}
        self.assertTrue(judge.passes([good] * 19 + [bad, quiet])[0])
        self.assertFalse(judge.passes([good] * 18 + [bad] * 2)[0])
        self.assertTrue(judge.passes([good, {**quiet, "false": [1]}])[0])
        self.assertFalse(judge.passes([good, {**quiet, "false": [1, 2]}])[0])

    def test_seeds(self):
        self.assertEqual(judge.span("1-3,7"), [1, 2, 3, 7])


if __name__ == "__main__":
    unittest.main()
