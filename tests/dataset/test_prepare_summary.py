from paddleseg_sclc.dataset.summary import format_table


def test_columns_line_up_in_any_script():
    table = format_table([("slide", "patient", "n", ""), ("病例七.ndpi", "p", "12", "made")])
    assert table.splitlines() == [
        "slide        patient   n",
        "-" * 30,
        "病例七.ndpi  p        12  made",
    ]
