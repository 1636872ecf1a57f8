"""Whose notebook is whose, in every layout; and nothing that went in is lost."""

import os
import re
import stat
import zipfile

import pytest
from fakes import hand_in, notebook
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from attnprune_edu.grading import collecting
from attnprune_edu.grading.collecting import Source, collect, moodle_folder, moodle_number
from attnprune_edu.grading.roster import Roster, Student

ROSTER = Roster(
    [Student("ann", "Ann Lee", participant="71", github="AnnOnGit"), Student("bob", "Bob Ray", participant="72")]
)
NAMES_ONLY = Roster([Student("ann", "Ann Lee"), Student("bob", "Bob Ray")])
NONE = Roster()

LAYOUTS = {
    "flat": (["ann.ipynb", "Bob (1).ipynb"], True),
    "flat, names around": (["02_attention_formula_ann.ipynb", "bob-02.ipynb"], False),
    "a folder each": (["ann/02.ipynb", "BOB/work/02.ipynb"], True),
    "folders in a folder": (["week/ann/02.ipynb", "week/bob/02.ipynb"], True),
    "nbgrader": (["submitted/ann/ps/x.ipynb", "submitted/bob/ps/x.ipynb"], True),
    "nbgrader's course": (["submitted/ann/ps/x.ipynb", "submitted/bob/ps/x.ipynb", "source/ps/x.ipynb"], True),
    "moodle": (["Ann Lee_71_assignsubmission_file_/x.ipynb", "Bob Ray_72_assignsubmission_file/x.ipynb"], False),
    "moodle, flat": (["Ann Lee_71_assignsubmission_file_x.ipynb", "Bob Ray_72_assignsubmission_file_x.ipynb"], False),
    "classroom": (["l2-ann/x.ipynb", "l2-ann/.git/HEAD", "l2-ann/.git/config", "l2-bob/x.ipynb", "l2-bob/.git/HEAD"], True),
    "classroom, other names": (["lesson-02-AnnOnGit/x.ipynb", "lesson-02-bob/x.ipynb"], False),
    "an ending of a browser": (["ann.ipynb.txt", "bob.IPYNB"], True),
}  # fmt: skip


def lay_out(root, names, as_zip):
    """The files, in a folder or a zip; the path of it."""
    if not as_zip:
        for name in names:
            hand_in(root / "in" / name, "x = 1")
        return root / "in"
    with zipfile.ZipFile(root / "in.zip", "w") as archive:
        for name in names:
            archive.writestr(name, notebook("x = 1"))
    return root / "in.zip"


def accounted(collection):
    assert all(file.became for file in collection.files)
    graded = [file for file in collection.files if file.became == "graded"]
    assert sorted(file.student for file in graded) == sorted(collection.chosen)
    return collection


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_one_notebook_a_student(tmp_path, layout, as_zip):
    names, also_without = LAYOUTS[layout]
    place = lay_out(tmp_path, names, as_zip)
    for roster in [ROSTER, NONE] if also_without else [ROSTER]:
        collection = accounted(collect([place], roster, "02"))
        assert list(collection.chosen) == ["ann", "bob"]
        assert all(file.source.read().startswith(b"{") and len(file.sha256) == 64 for file in collection.chosen.values())
        assert as_zip or len(collection.files) == len({re.sub(r"\.git/.*", ".git", name) for name in names})


def test_moodle_goes_by_name_where_the_list_has_no_numbers(tmp_path):
    place = lay_out(tmp_path, LAYOUTS["moodle"][0], as_zip=True)
    assert list(collect([place], NAMES_ONLY, "02").chosen) == ["ann", "bob"]


@pytest.mark.parametrize("flat", [False, True])
def test_moodles_participants_who_are_on_no_roster_are_refused_and_without_anybody_nothing_begins(tmp_path, flat):
    strangers = [
        name.replace("_71_", "_73_").replace("Ann Lee", "Ada S") for name in LAYOUTS["moodle, flat" if flat else "moodle"][0]
    ]
    place = lay_out(tmp_path, strangers, as_zip=True)
    collection = accounted(collect([place], ROSTER, "02"))
    assert list(collection.chosen) == ["bob"] and not collection.without
    assert [file.became for file in collection.strangers] == [
        "refused: Moodle's participant 73, Ada S, fits no line of the roster"
    ]
    for roster in (NONE, Roster([Student("ann"), Student("73")])):
        with pytest.raises(
            ValueError, match=r"none of them is on the roster .*73, Ada S.* column participant.*or the column name"
        ):
            collect([place], roster, "02")


@pytest.mark.parametrize(
    ("shown", "folder", "number"),
    [
        ("in.zip/Ann Lee_71_assignsubmission_file_/x.ipynb", "Ann Lee_71_assignsubmission_file_", "71"),
        ("in.zip/Ann Lee_71_assignsubmission_file/x.ipynb", "Ann Lee_71_assignsubmission_file", "71"),
        (r"in\Ann Lee_71_assignsubmission_file_x.ipynb", "Ann Lee_71_assignsubmission_file_", "71"),
        ("in/ann/x.ipynb", "", ""),
    ],
)
def test_what_moodle_named_a_folder_is_known_again(shown, folder, number):
    assert (moodle_folder(shown), moodle_number(shown)) == (folder, number)


@pytest.mark.parametrize("as_zip", [False, True])
def test_one_students_folder_alone_is_that_students(tmp_path, as_zip):
    place = lay_out(tmp_path, ["ann/ps/02.ipynb"], as_zip)
    assert list(collect([place], ROSTER, "02").chosen) == list(collect([place], NONE, "02").chosen) == ["ann"]


def test_a_zip_of_files_in_one_folder_is_flat(tmp_path):
    assert list(collect([lay_out(tmp_path, ["all/ann.ipynb", "all/bob.ipynb"], True)], NONE, "02").chosen) == ["ann", "bob"]


@pytest.mark.parametrize(
    "names",
    [
        ["ann/x.ipynb", "eve/bob/x.ipynb", "eve/bob.ipynb"],
        ["submitted/ann/ps/x.ipynb", "submitted/eve/ps/submitted/bob/x.ipynb"],
        [
            "Ann Lee_71_assignsubmission_file_/x.ipynb",
            "Eve_9_assignsubmission_file_/Bob Ray_72_assignsubmission_file_/x.ipynb",
            "eve.ipynb",
        ],
        ["ann/x.ipynb", "eve/../bob/x.ipynb"],
    ],
)
def test_nobody_hands_in_for_another(tmp_path, names):
    collection = accounted(collect([lay_out(tmp_path, names, as_zip=True)], ROSTER, "02"))
    assert "bob" not in collection.chosen and "ann" in collection.chosen and len(collection.chosen) == 2


def test_of_two_files_the_later_is_graded_and_another_lessons_last(tmp_path):
    files = {"one/ann.ipynb": 100, "two/ANN.ipynb": 300, "two/ann.ipynb": 200, "three/03_x_ann.ipynb": 400}
    for name, time in files.items():
        os.utime(hand_in(tmp_path / name, name), (time, time))
    collection = accounted(collect([tmp_path / name for name in ("one", "two", "three")], ROSTER, "02"))
    assert [file.name for file in collection.chosen.values()] == ["ANN.ipynb"]
    assert sum(file.became.startswith("superseded by") for file in collection.files) == 3
    assert [file.name for file in collect([tmp_path / "three"], ROSTER, "02").chosen.values()] == ["03_x_ann.ipynb"]


@pytest.mark.parametrize("late", ["a.ipynb", "b.ipynb"])
def test_a_zip_tells_the_time_too_and_at_equal_times_the_name_decides(tmp_path, late):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for name in ("a.ipynb", "b.ipynb"):
            archive.writestr(zipfile.ZipInfo(f"ann/{name}", (2026, 1, 1 + (name == late), 0, 0, 0)), notebook("x"))
            archive.writestr(zipfile.ZipInfo(f"bob/{name}", (2026, 1, 1, 0, 0, 0)), notebook("x"))
    chosen = collect([tmp_path / "in.zip"], ROSTER, "02").chosen
    assert [chosen["ann"].name, chosen["bob"].name] == [late, "b.ipynb"]


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_nothing_strange_is_opened_and_all_of_it_is_in_the_ledger(tmp_path):
    secret = hand_in(tmp_path / "secret" / "bob.ipynb", "secret")
    place = hand_in(tmp_path / "in" / "ann" / "x.ipynb", "x").parent
    hand_in(place / ".ipynb_checkpoints" / "x-checkpoint.ipynb", "x")
    hand_in(place.parent / "__MACOSX" / "ann" / "._x.ipynb", "x")
    (place / "notes.txt").write_text("x")
    (place.parent / "bob").symlink_to(secret.parent)
    (place.parent / "bob.ipynb").symlink_to(secret)
    os.mkfifo(place / "pipe.ipynb")
    (place / "inner.zip").write_bytes(b"PK")
    collection = accounted(collect([tmp_path / "in"], ROSTER, "02"))
    assert list(collection.chosen) == ["ann"] and "it is a link" in collection.without["bob"]
    fates = {file.name: file.became for file in collection.files}
    assert len(fates) == 8
    assert fates["x.ipynb"] == "graded" and "copy" in fates["x-checkpoint.ipynb"] and "copy" in fates["._x.ipynb"]
    assert "link" in fates["bob"] and "link" in fates["bob.ipynb"] and "no plain file" in fates["pipe.ipynb"]
    with pytest.raises(OSError, match="bob"):  # one that became a link meanwhile
        Source(str(place.parent / "bob.ipynb")).read()
    assert "zip inside" in fates["inner.zip"] and "no notebook" in fates["notes.txt"]


def test_zips_that_do_harm_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST", 10_000)
    link = zipfile.ZipInfo("link/x.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/x.ipynb", " " * 1_000_000)
        archive.writestr("liar/x.ipynb", " " * 20_000)
        archive.writestr(link, "/etc/passwd")
        archive.writestr("inner/x.zip", "PK")
        archive.writestr("ann/../../../etc/ann.ipynb", notebook("x"))
        archive.writestr("/bob/x.ipynb", notebook("x"))
        archive.writestr("locked/x.ipynb", notebook("x"))
    content = bytearray((tmp_path / "in.zip").read_bytes())
    lies = content.rfind((20_000).to_bytes(4, "little"))
    content[lies : lies + 4] = (9_000).to_bytes(4, "little")  # what the list of contents says about the size
    content[content.rfind(b"locked/x") - 38] |= 1  # encrypted
    (tmp_path / "in.zip").write_bytes(content)
    collection = accounted(collect([tmp_path / "in.zip"], NONE, "02"))
    assert list(collection.chosen) == ["ann", "bob"]
    for student, problem in {
        "bomb": "larger",
        "link": "link",
        "inner": "zip inside",
        "liar": "read",
        "locked": "locked",
    }.items():
        assert problem in collection.without[student], student


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [("none", None, FileNotFoundError), ("a.pdf", b"x", ValueError), ("a.zip", b"PK", ValueError)],
)
def test_what_cannot_be_looked_through_is_named(tmp_path, name, content, error):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=f"submissions must be folders, zips or notebooks.*{name}"):
        collect([tmp_path / name], NONE, "02")


PART = st.sampled_from(
    ["ann", "BOB", "eve-bob", "submitted", ".git", "__MACOSX", "Eve_7_assignsubmission_file_", "..", "a b", "ü"]
)
NAME = st.sampled_from(
    ["x.ipynb", "ann.ipynb", "bob (2).ipynb", ".ipynb", "notes.txt", "x.zip", "._x.ipynb", "02_x.ipynb", "HEAD"]
)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.tuples(st.lists(PART, max_size=3), NAME), max_size=8), listed=st.booleans())
def test_whatever_is_in_a_zip_is_accounted_for(tmp_path, files, listed):
    if listed:
        files.append((["Ann Lee_71_assignsubmission_file_"], "x.ipynb"))
    else:
        assume(not any(moodle_folder("/".join(folders)) for folders, _ in files))  # with no roster, Moodle's are refused
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for folders, name in files:
            archive.writestr(zipfile.ZipInfo("/".join([*folders, name])), notebook("x"))
    collection = accounted(collect([tmp_path / "in.zip"], ROSTER if listed else NONE, "02"))
    assert len(collection.files) == len(files)
    handed_in = {
        file.student for file in collection.files if file.became == "graded" or file.became.startswith("superseded")
    }
    assert handed_in == set(collection.chosen) and not handed_in & set(collection.without)
