"""The answer, what mattered, and the settings that a row of a table names."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.reporting.answer import answer_lines, answer_of, plain_text
from study.reporting.assembly import Report, build_tables, files
from study.reporting.effects import effects_of
from study.reporting.estimates import estimates_of
from study.reporting.methods import methods
from study.reporting.networks import differing_words, network_words, parts_of
from study.reporting.run import Run, load_run
from study.reporting.settings_chips import common_remark, common_settings, settings_cell
from study.reporting.table import Value
from tests.reporting.fake_run import FakeRun
from tests.reporting.verified import verified

MODELS: dict[str, tuple[float, dict[str, Any]]] = {  # strength of each trial by its network
    "search-00000": (1.4, {"backbone": "resnet18", "attention": "mirror", "fusion": "concat"}),
    "search-00001": (1.1, {"backbone": "resnet18", "attention": "mirror", "fusion": "concat"}),
    "search-00002": (
        0.4,
        {"backbone": "resnet18", "attention": "none", "fusion": {"name": "gated", "dim": 8}},
    ),
}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A search whose best two trials are one family, and an ablation of the attention with three seeds."""
    fake = FakeRun(tmp_path_factory.mktemp("answers") / "known", patients=150, kind="classes")
    fake.study(ablations=json.dumps({"own": ["with", "without"]}))
    for number, (key, (strength, model)) in enumerate(MODELS.items()):
        spec = json.dumps({"model": model, "loss": "bce"})
        params = json.dumps({"optimiser.lr": 0.001, "model.fusion": model["fusion"], "optimiser.wd": number})
        fake.trial(key, fake.predictions(key, strength), spec=spec, params=params, number=number)
    for variant, attention, strength in (("with", "mirror", 1.2), ("without", "none", 0.4)):
        spec = json.dumps({"model": {"backbone": "resnet18", "attention": attention}, "loss": "bce"})
        for seed in (0, 1, 2):
            key = f"ablation-own-{variant}-s{seed}"
            row: dict[str, Any] = {"table": "own", "variant": variant, "seed": seed, "spec": spec}
            fake.trial(key, fake.predictions(key, strength), role="ablation", **row)
    fake.trial("baseline-prior", fake.prior("baseline-prior"), role="baseline", variant="prior")
    return load_run(str(fake.folder))


def test_the_answer_names_the_network_and_compares_it_with_the_next_family(answered: Run) -> None:
    found = answer_of(answered)
    assert found is not None
    assert answered.best == "search-00000"
    test = answered.score("search-00000", answered.objective)
    lead = plain_text(found.lead)
    assert lead.startswith(
        "The network resnet18 with mirror attention, concat fusion and bce loss was chosen: "
    )
    assert f"on the test patients is {test:.3f} [" in lead
    rival = answered.score("search-00002", answered.objective)
    assert math.isclose(found.numbers["next"].value, test - rival)
    assert "from the next family (no attention, fusion gated) is +" in plain_text(found.rest[0])
    assert found.numbers["next"].low > 0
    assert plain_text(found.rest[0]).endswith("one training of each, which is no difference between methods.")
    assert "from the class prior is +" in plain_text(found.rest[1])
    assert plain_text(found.rest[2]).startswith("Corrected for the choice among 3 trials, validation gives ")


def test_a_rival_that_is_no_worse_is_not_said_to_be_beaten(run: Run) -> None:
    found = answer_of(run)
    assert found is not None
    assert " was chosen: " in plain_text(found.lead)


def test_every_number_of_the_answer_comes_from_predictions(answered: Run) -> None:
    table = {t.name: t for _, t in build_tables(answered)}["answer"]
    for key in ("test", "next", "prior"):
        cell = table.cell(key, "value")
        assert isinstance(cell, Value)
        assert cell.origin is not None
        assert estimates_of(answered).value(cell.origin) == pytest.approx(cell.value, abs=1e-12)


def test_a_changed_sentence_does_not_verify(answered: Run) -> None:
    report = Report(answered, build_tables(answered), ())
    written = files(report)
    assert verified(report, written).differences == ()
    html = written["index.html"].decode()
    forged = html.replace(" was chosen: ", " is by far the best: ", 1)
    assert forged != html
    differences = verified(report, {**written, "index.html": forged.encode()}).differences
    assert ["is by far the best" in difference.written for difference in differences] == [True]


def test_an_effect_is_the_ablations_where_there_is_one_and_the_searchs_elsewhere(answered: Run) -> None:
    effects = {effect.part: effect for effect in effects_of(answered) if effect.part != "K"}
    assert effects.keys() == {"attention", "fusion"}
    attention, fusion = effects["attention"], effects["fusion"]
    assert (attention.source, attention.option, attention.reference) == ("ablation", "none", "mirror")
    assert attention.trainings == 3
    means = [
        sum(answered.score(f"ablation-own-{variant}-s{seed}", answered.objective) for seed in (0, 1, 2)) / 3
        for variant in ("without", "with")
    ]
    assert math.isclose(attention.difference.value, means[0] - means[1])
    assert attention.difference.high < 0
    assert (fusion.source, fusion.option, fusion.reference) == ("search", "gated", "concat")


def test_one_component_with_other_arguments_is_told_by_the_name_of_its_row(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "known", patients=60, kind="classes")
    fake.study(ablations=json.dumps({"own": ["without", "narrow", "wide", "mirrored"]}))
    attentions: dict[str, Any] = {
        "without": "none",
        "narrow": {"name": "spatial", "kernel": 3},
        "wide": {"name": "spatial", "kernel": 7},
        "mirrored": "mirror",
    }
    for variant, attention in attentions.items():
        key = f"ablation-own-{variant}-s0"
        spec = json.dumps({"model": {"backbone": "resnet18", "attention": attention}, "loss": "bce"})
        row: dict[str, Any] = {"table": "own", "variant": variant, "seed": 0, "spec": spec}
        fake.trial(key, fake.predictions(key, 1.0), role="ablation", **row)
    effects = [effect for effect in effects_of(load_run(str(fake.folder))) if effect.part != "K"]
    assert {effect.part for effect in effects} == {"attention"}
    assert {effect.option for effect in effects} == {"narrow", "wide", "mirror"}


def test_a_row_without_another_part_is_no_option_of_the_part_that_its_table_is_named_after(
    tmp_path: Path,
) -> None:
    fake = FakeRun(tmp_path / "known", patients=60, kind="classes")
    fake.study(ablations=json.dumps({"attention": ["paper", "none", "dark"]}))
    for variant, attention in (("paper", "cbam"), ("none", "none"), ("dark", "cbam")):
        key = f"ablation-attention-{variant}-s0"
        spec = json.dumps({"model": {"backbone": "resnet18", "attention": attention}, "loss": "bce"})
        row: dict[str, Any] = {"table": "attention", "variant": variant, "seed": 0, "spec": spec}
        fake.trial(key, fake.predictions(key, 1.0), role="ablation", **row)
    found = {(e.part, e.option, e.reference) for e in effects_of(load_run(str(fake.folder))) if e.part != "K"}
    assert found == {("attention", "none", "cbam"), ("rows", "dark", "paper")}


def test_a_row_names_only_what_most_rows_do_not_have(answered: Run) -> None:
    keys = list(MODELS)
    common = common_settings(answered, keys)
    assert common == {"optimiser.lr": 0.001, "model.fusion": "concat"}
    assert settings_cell(answered, keys[1], common).chips == ("wd 1",)
    assert settings_cell(answered, keys[2], common).chips == ("fusion gated (dim 8)", "wd 2")
    assert common_settings(answered, keys[:1]) == {}
    assert "Most have: fusion concat, lr 0.001." in common_remark(answered, common)[0]


def test_the_words_for_networks() -> None:
    own = {"backbone": "tiny", "context": "none", "attention": "cbam", "fusion": "sum"}
    assert network_words(own) == "tiny with cbam attention and sum fusion"
    assert network_words({"backbone": "tiny", "context": "none"}) == "tiny"
    assert differing_words(own, {**own, "attention": "none", "context": "spp"}) == "context spp, no attention"


def test_a_network_for_single_images_has_no_fusion(answered: Run) -> None:
    single = replace(answered, study={**answered.study, "num_views": 1})
    assert "fusion" not in parts_of(single, "search-00000")


def test_the_methods_come_from_the_records_and_leave_gaps_for_people(answered: Run) -> None:
    said = " ".join(methods(answered))
    assert "150 for training, 150 for validation, 150 for the test." in said
    assert "Left out: 2 samples (one eye only)." in said
    assert "The chosen network is resnet18 with mirror attention, concat fusion and bce loss." in said
    assert "3 trials (3 complete) over 3 parameters" in said
    assert "torch 2.9.0" in said
    assert "[To be said by the authors:" in said


def test_the_console_says_the_same_answer(answered: Run) -> None:
    found = answer_of(answered)
    assert found is not None
    assert answer_lines(answered) == [plain_text(pieces) for pieces in (found.lead, *found.rest)]
    assert len(answer_lines(answered)) <= 5


def test_without_enough_carriers_the_answer_has_no_interval_and_says_why(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path / "rare", patients=60)
    fake.truth["test"][:, 3] = np.arange(60) < 2
    fake.study()
    for number, strength in enumerate((1.4, 0.4)):
        key, spec = f"search-{number:05d}", {"model": {"backbone": "resnet18", "fusion": f"f{number}"}}
        fake.trial(key, fake.predictions(key, strength), spec=json.dumps(spec), number=number)
    fake.trial("baseline-prior", fake.prior("baseline-prior"), role="baseline", variant="prior")
    lines = answer_lines(load_run(str(fake.folder)))
    assert "[" not in lines[0]
    assert "which has no test." in lines[1]
    assert any(line.startswith("No interval and no test: ") and "2 carriers" in line for line in lines)
