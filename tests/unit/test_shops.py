def test_an_example_of_an_order_may_name_its_shop_and_explain_reads_it(tmp_path: Path) -> None:
    for kind in ("order", "paid", "cancelled"):
        printed = CliRunner().invoke(app, ["example", kind, "--shop", "north", "--order", "777"]).stdout
        data = orjson.loads(printed)["data"]
        assert (data["order_id"], data["shop_id"]) == ("777", "north")
    assert "shop_id" not in orjson.loads(CliRunner().invoke(app, ["example", "order"]).stdout)["data"]
    file = tmp_path / "order.json"
    file.write_bytes(orjson.dumps({"order_id": "777", "shop_id": "north", "currency": "USD", "amount": "1.00"}))
    with open_input(file) as opened:
        assert read_order(opened)[1].order_id == NORTH
