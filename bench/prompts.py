"""What is rendered: texts of the tiny Wan's words without a direction, each with its seed."""

from __future__ import annotations

Prompt = tuple[str, int]

HELD_OUT: tuple[Prompt, ...] = (
    ("cyan disc fast", 9001),
    ("magenta square slow", 9002),
    ("orange triangle slow", 9003),
    ("white ring fast", 9004),
    ("cyan cross slow", 9005),
    ("magenta triangle fast", 9006),
    ("orange square fast", 9007),
    ("white disc slow", 9008),
    ("red square fast", 9009),
    ("green disc slow", 9010),
    ("blue ring fast", 9011),
    ("yellow cross slow", 9012),
    ("orange ring slow", 9013),
    ("green triangle slow", 9014),
    ("blue cross fast", 9015),
    ("white square slow", 9016),
)
"""Nothing in the pack was chosen by looking at these."""

TUNING: tuple[Prompt, ...] = (
    ("red disc fast", 1),
    ("blue square slow", 2),
    ("yellow triangle fast", 3),
    ("green cross slow", 4),
    ("red ring slow", 5),
    ("blue disc fast", 6),
    ("green square fast", 7),
    ("yellow ring slow", 8),
    ("magenta disc slow", 9),
    ("cyan square fast", 10),
    ("orange disc fast", 11),
    ("white triangle slow", 12),
    ("magenta cross fast", 13),
    ("cyan ring slow", 14),
    ("orange cross slow", 15),
    ("white cross fast", 16),
)
"""For trying out ideas and numbers; the first four are the demo's words."""

CALIBRATION: Prompt = ("red triangle slow", 5001)
"""What MagCache Calibrate measures."""

SETS = {"held-out": HELD_OUT, "tuning": TUNING}
