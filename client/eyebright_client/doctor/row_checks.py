"""Checks on rows, labels, eyes and splits: what the table says, before anybody looks at a pixel."""

from __future__ import annotations

from collections import Counter

from eyebright_client.doctor.case import Case
from eyebright_client.doctor.findings import Finding, Level, by_share
from eyebright_client.doctor.sharing import people_table, shareable_reasons
from eyebright_common.manifest.importers.grades import NORMAL_FOR_ONE

_LOST = frozenset(
    {"file_missing", "file_without_row", "malformed_row", "path_missing", "path_outside_folder", "duplicate_row"}
    | {"several_files_of_that_name", "frame_index_invalid", "modality_unknown", "patient_id_missing"}
)
_MOST_LOST = 0.01
_RARE = 0.02
_ONE_EYED = 0.25


def row_finding(case: Case) -> Finding:
    """Rows without file, files without row, rows that say nothing usable."""
    left_out = case.manifest.left_out
    lost = {reason: count for reason, count in left_out.items() if reason in _LOST}
    everything = len(case.manifest.rows) + sum(left_out.values())
    count = sum(lost.values())
    numbers = {"rows_and_files": everything, "rows_of_task": len(case.manifest.rows), "lost": shareable_reasons(lost)}
    if not case.manifest.rows:
        return Finding(
            check="rows",
            level=Level.STOP,
            sentence="Not one row can be used.",
            fix="See what is left out and why; check --task and --map.",
            numbers=numbers,
        )
    return Finding(
        check="rows",
        level=by_share(count, everything, stop_above=_MOST_LOST),
        sentence=f"{count} of {everything} rows and files are lost before a picture is opened."
        if count
        else f"All {everything} rows and files are accounted for.",
        fix="Correct the table, or restore the files: the local list names each of them." if count else "",
        numbers=numbers,
    )


def conflict_finding(case: Case) -> Finding:
    """The same picture twice in the table, with another label or patient."""
    count = case.manifest.left_out.get("conflicting_row", 0)
    return Finding(
        check="conflicting_rows",
        level=Level.STOP if count else Level.OK,
        sentence=f"{count} rows name a picture that another row labels otherwise, or gives to another patient."
        if count
        else "No picture is labelled twice in different ways.",
        fix="Decide which row is right and delete the other." if count else "",
        numbers={"rows": count},
    )


def label_finding(case: Case) -> Finding:
    """Classes that are there and absent, labels outside the task, prevalence."""
    counts = Counter(row.label for row in case.manifest.rows)
    classes = {name: counts[name] for name in case.task.classes}
    present = [name for name, count in classes.items() if count]
    outside = {reason: n for reason, n in case.manifest.left_out.items() if reason.startswith("label_")}
    numbers = {"classes": people_table(classes), "outside": shareable_reasons(outside)}
    if len(present) < 2:
        sentence = f"There are pictures of {len(present)} class{'es' * (len(present) != 1)} of task {case.task.name}."
        fix = "One class alone teaches nothing: add the others, or map your labels with --map."
        return Finding(check="labels", level=Level.STOP, sentence=sentence, fix=fix, numbers=numbers)
    total = sum(classes.values())
    absent = [name for name in case.task.classes if not classes[name]]
    rare = [name for name in present if classes[name] < _RARE * total]
    said = [f"{name} is absent" for name in absent] + [f"{name} is rarer than {_RARE:.0%}" for name in rare]
    if outside:
        said.append(f"{sum(outside.values())} rows have no label of the task")
    return Finding(
        check="labels",
        level=Level.WARN if absent or rare else Level.INFO if outside else Level.OK,
        sentence=f"Labels of task {case.task.name}: {'; '.join(said) if said else 'every class is there'}.",
        fix="Check the spelling, or map your labels with --map." if absent or outside else "",
        numbers=numbers,
    )


def label_meaning_finding(case: Case) -> Finding:
    """Pictures that are called normal although one disease only was looked for."""
    count = case.manifest.notes.get(NORMAL_FOR_ONE, 0)
    return Finding(
        check="label_meaning",
        level=Level.WARN if count else Level.OK,
        sentence=f"{count} pictures are called normal because one disease was not found in them."
        if count
        else "No label is stretched beyond what was graded.",
        fix="Another disease may be there. To leave them out, map icdr_0 and no_referable_glaucoma to '' with --map."
        if count
        else "",
        numbers={"pictures": count},
    )


def patient_finding(case: Case) -> Finding:
    """Whether the source says whose pictures they are."""
    anonymous = case.manifest.notes.get("patient_id_from_file_name", 0)
    patients = len({row.patient_id for row in case.rows})
    return Finding(
        check="patients",
        level=Level.WARN if anonymous else Level.OK,
        sentence=f"For {anonymous} pictures nobody says whose they are; each is taken for a patient of its own."
        if anonymous
        else f"Every picture has a patient ({patients} in all).",
        fix="Give a manifest with patient_id: both eyes of a patient must not be parted, and copies cannot show that."
        if anonymous
        else "",
        numbers={"patients": patients, "groups": _groups(case), "pictures_without_patient": anonymous},
    )


def _groups(case: Case) -> int:
    return len(set(case.together.group.tolist()))


def eye_finding(case: Case) -> Finding:
    """Left and right, and patients of whom one eye is missing."""
    counts = Counter(row.eye for row in case.rows)
    eyes: dict[str, set[str]] = {}
    for row in case.rows:
        eyes.setdefault(row.patient_id, set()).add(row.eye)
    known = [found - {"U"} for found in eyes.values() if found - {"U"}]
    one_eyed = sum(len(found) == 1 for found in known)
    table = people_table({"left": counts["L"], "right": counts["R"], "unknown": counts["U"]})
    many = bool(known) and one_eyed > _ONE_EYED * len(known)
    unknown = counts["U"] > _ONE_EYED * max(1, len(case.rows))
    said = [f"{one_eyed} of {len(known)} patients with a known eye have one eye only"] if known else []
    said += [f"{counts['U']} pictures do not say which eye"] if counts["U"] else []
    return Finding(
        check="eyes",
        level=Level.WARN if many and known else Level.INFO if unknown else Level.OK,
        sentence=f"{'; '.join(said) or 'There are no pictures'}.",
        fix="Export both eyes: a decision is about a patient." if many else "",
        numbers={"pictures": table, "patients_with_one_eye": people_table({"patients": one_eyed})["patients"]},
    )


def split_finding(case: Case) -> Finding:
    """Patients, eyes and copies that stand in two splits."""
    if not any(row.split for row in case.rows):
        sentence = "The source fixes no split; groups will be dealt whole."
        return Finding(check="splits", level=Level.INFO, sentence=sentence, numbers={"splits": {}})
    torn_groups = _torn([str(group) for group in case.together.group.tolist()], case)
    torn_patients = _torn([row.patient_id for row in case.rows], case)
    torn_copies = _torn([str(group) for group in case.together.near.tolist()], case)
    sizes = Counter(split_word(row.split) for row in case.rows if row.split)
    return Finding(
        check="splits",
        level=Level.STOP if torn_groups else Level.OK,
        sentence=f"{torn_groups} groups stand in two splits ({torn_patients} patients, {torn_copies} sets of copies)."
        if torn_groups
        else "No patient and no copy stands in two splits.",
        fix="A figure on such a split means nothing. --resplit with --write-manifest deals the groups again."
        if torn_groups
        else "",
        numbers={
            "splits": people_table(dict(sizes)),
            "groups_in_two": torn_groups,
            "patients_in_two": torn_patients,
            "sets_of_copies_in_two": torn_copies,
        },
    )


def split_word(split: str | None) -> str:
    """Return a split's name in our words; what else a person wrote is ``other``."""
    if not split:
        return "unsplit"
    return split if split in {"train", "validation", "val", "test"} else "other"


def _torn(keys: list[str], case: Case) -> int:
    places: dict[str, set[str]] = {}
    for key, row in zip(keys, case.rows, strict=True):
        if row.split:
            places.setdefault(key, set()).add(row.split)
    return sum(len(found) > 1 for found in places.values())
