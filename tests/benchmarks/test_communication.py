import pytest

from benchmarks import communication
from benchmarks.checks import WrongResult


def test_collectives_are_counted_with_their_bytes():
    program = """
      %a = (f32[3,5]{1,0}, bf16[7]{0}) all-reduce(%x, %y), channel_id=1
      %b = f32[] all-reduce-start(%z), channel_id=2
      ROOT %c = s32[2]{0} all-gather(%w), dimensions={0}
      %d = f32[100]{0} add(%all-reduce.1, %all-reduce.2)
    """
    found = communication.collectives(program)
    assert found == {"collectives": {"all-reduce": 2, "all-gather": 1}, "bytes": 60 + 14 + 4 + 8}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("4.1 st_cnn_affine", (2, 8)),
        ("4.2 multi, 64 px", (8,)),
        pytest.param("4.2 multi, 64 px", (2, 4), marks=pytest.mark.stress),
    ],
)
def test_a_step_sends_gradients_and_statistics_once(name, counts):
    records = communication.in_process(name, counts, shrink=True)
    assert [record["devices"] for record in records] == list(counts)
    for record in records:
        communication.check(record)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bytes": 1408},  # gradients twice
        {"bytes": 8},  # not at all
        {"collectives": {"all-reduce": 4}},
        {"collectives": {"all-reduce": 3, "all-gather": 1}},
    ],
)
def test_anything_sent_twice_apart_or_not_at_all_is_a_wrong_result(wrong):
    record = {
        "network": "net",
        "devices": 2,
        "collectives": {"all-reduce": 3},
        "bytes": 708,
        "least bytes": {"gradients": 700, "loss and error": 8},
        "least collectives": 3,
    }
    communication.check(record)
    with pytest.raises(WrongResult, match="net on 2 devices"):
        communication.check(record | wrong)
