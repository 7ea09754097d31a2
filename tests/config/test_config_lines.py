from __future__ import annotations

import pytest

from edgepipe.config.lines import Lines

TEXT = """# a comment
name = "x"                 # line 2
run = { seed = 1, "device" = "cpu" }
step.first.use = "data"
[step.second] # comment ]
use = "data"
from = { data = "a",   model = "b" }
"quoted key" = 1
'single' = 2

[step."with.dot"]
use = [
  "a = b",
]
later = 1

[[gate]]
of = "a"
[[gate]]
of = "b"
  [step.third.model]
  model_type = "bert"
note = "a\u2028b"
after = 1
"""


@pytest.mark.parametrize(
    ("at", "line"),
    [
        ((), 1),
        (("name",), 2),
        (("run",), 3),
        (("run", "seed"), 3),
        (("run", "device"), 3),
        (("step", "first", "use"), 4),
        (("step", "second"), 5),
        (("step", "second", "use"), 6),
        (("step", "second", "from", "model"), 7),
        (("step", "second", "quoted key"), 8),
        (("step", "second", "single"), 9),
        (("step", "with.dot"), 11),
        (("step", "with.dot", "use"), 12),
        (("step", "with.dot", "use", 0), 12),
        (("step", "with.dot", "later"), 15),
        (("gate", 0, "of"), 18),
        (("gate", 1), 19),
        (("gate", 1, "of"), 20),
        (("step", "third", "model", "model_type"), 22),
        (("step", "third", "model", "after"), 24),
        (("step", "second", "absent"), 5),
        (("nowhere", "at", "all"), 1),
    ],
)
def test_the_line_of_a_key_or_of_the_table_that_should_hold_it(at, line) -> None:
    assert Lines(TEXT).of(at) == line
