"""The figure and the sheet of similar cases, from stored embeddings and photographs."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study.evidence.case_pictures import write_pictures
from study.evidence.predictions import Embeddings
from study.evidence.similar import similar_cases
from study.reporting.assembly import build_report, files
from study.reporting.contact_sheet import Sheet, fitting, sheet_png
from study.reporting.figure import PNG_DPI, draw
from study.reporting.run import Run, load_run
from study.reporting.similar import samples_with_pictures, shown_cases
from study.spec.task import RetrievalSpec
from tests.reporting.fake_run import FakeRun, fake_run


def jpeg(level: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((60, 60, 3), level, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def with_pictures(run: Run, num_views: int = 1) -> None:
    cases = shown_cases(run)
    assert cases is not None
    pictures = {name: [jpeg(90)] * num_views for name in samples_with_pictures(cases)}
    write_pictures(run.store, pictures, synthetic=run.synthetic)


@pytest.fixture
def retina_run(tmp_path: Path) -> Callable[..., Run]:
    """A run of five grades that a test may change."""

    def make(**options: bool) -> Run:
        return load_run(str(fake_run(tmp_path / "retina", kind="grades", num_search=2, **options)))

    return make


def test_each_grade_has_its_best_query_and_its_worst(retina: Run) -> None:
    cases = shown_cases(retina)
    assert cases is not None
    grades = cases.queries.target.argmax(axis=1)
    hits = cases.same.sum(axis=1)
    assert grades.tolist() == sorted(grades.tolist())
    for grade in range(5):
        of_grade = hits[grades == grade].tolist()
        assert 1 <= len(of_grade) <= 2
        assert len(of_grade) == 1 or (of_grade[0] == 5 and of_grade[1] < 5)


def test_photographs_marks_and_distances_stand_in_the_figure(retina_run: Callable[..., Run]) -> None:
    run = retina_run(synthetic=True)
    with_pictures(run)
    cases, drawing = shown_cases(run), draw("similar_cases", run)
    assert cases is not None
    assert drawing is not None
    num_queries = len(cases.index)
    assert drawing.svg.count("data:image/jpeg") == num_queries * 6
    assert drawing.svg.count("  same<") == cases.same.sum()
    assert drawing.svg.count("  differs<") == num_queries * 5 - cases.same.sum()
    assert drawing.svg.count(f">distance {cases.distance[0, 0]:.3f}<") >= 1
    assert "no picture" not in drawing.svg
    assert "SYNTHETIC" in drawing.svg
    assert "keeps their photographs" not in drawing.caption
    assert 'id="figure-similar_cases"' in files(build_report(run))["index.html"].decode()


def test_without_photographs_the_words_still_stand(retina: Run) -> None:
    drawing = draw("similar_cases", retina)
    assert drawing is not None
    assert "data:image" not in drawing.svg
    assert ">1  same<" in drawing.svg
    assert "The study's command keeps their photographs when it ends." in drawing.caption


def test_a_photograph_that_is_missing_leaves_a_frame(retina_run: Callable[..., Run]) -> None:
    run = retina_run()
    cases = shown_cases(run)
    assert cases is not None
    write_pictures(run.store, {cases.queries.sample[0]: [jpeg(90)] * 2}, synthetic=False)
    drawing = draw("similar_cases", run)
    assert drawing is not None
    assert drawing.svg.count("data:image/jpeg") == 2
    assert drawing.svg.count(">no picture<") == len(cases.index) * 6 - 1


def test_a_trial_without_neighbours_has_no_figure(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "none", kind="grades")
    run.study()
    run.trial("search-00000", run.predictions("search-00000", 1.0), role="baseline")
    assert draw("similar_cases", load_run(str(tmp_path / "none"))) is None


def plane(split: str, num: int, *, known: bool = True) -> Embeddings:
    names = [f"{split}-{i}" for i in range(num)]
    return Embeddings(
        trial="a",
        split=split,
        sample=names,
        patient=names,
        target=np.full((num, 1), 1 if known else -1, dtype=np.int8),
        embedding=np.arange(2 * num, dtype=np.float32).reshape(num, 2),
        synthetic=False,
    )


def test_a_sheet_is_a_picture_of_bounded_height() -> None:
    cases = similar_cases(plane("train", 70), plane("new", 40, known=False), RetrievalSpec(), 60)
    shown = fitting(cases)
    assert shown.index.shape == (2, 50)  # ten lines each
    assert fitting(cases.of(range(40), 5)).index.shape == (20, 5)
    pictures = {name: [jpeg(90)] for name in cases.known.sample}
    sheet = Sheet(cases=shown, labels=("D",), of_queries={}, of_known=pictures)
    plain, stamped = (Image.open(io.BytesIO(sheet_png(sheet, synthetic=yes))) for yes in (False, True))
    assert plain.height < 40 * PNG_DPI
    assert plain.size == stamped.size
    assert plain.tobytes() != stamped.tobytes()
