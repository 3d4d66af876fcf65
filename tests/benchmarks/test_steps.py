from benchmarks import steps


def record(network, who, ratio, **more):
    spread = [ratio, ratio, ratio]
    about = {"group": "4.2, 64 px", "batch": 16, "network": network, "who": who}
    return about | {"seconds": [0.1, 0.2, 0.3], "ratio": spread, **more}


def test_the_table_says_what_the_transformers_cost_each_library():
    text = steps.markdown(
        [
            record("cnn", "ours", 1.0),
            record("cnn", "torch", 1.5),
            record("multi", "ours", 1.0, **{"to plain": [1.0, 1.06, 1.1]}),
            record("multi", "torch", 2.5, **{"to plain": [1.2, 1.3, 1.4]}),
        ]
    )
    measured, costs = text.split("### What the transformers cost")
    assert "| 4.2, 64 px: multi | 16 | 200 (100..300) | 200 (100..300) | 2.50" in measured
    assert "| 4.2, 64 px: multi | 16 | 1.06 (1.00..1.10) | 1.30 (1.20..1.40) |" in costs
    assert "cnn |" not in costs
